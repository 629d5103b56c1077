// Package body reads the JSON of requests, strictly, and says of what is wrong where it stands: callers are programs whose authors read
// the error once. A name that is not known is refused with the nearest one that is, for a bound that was misspelt would judge nothing.
package body
