// Package client asks Freshet whether the context that a workflow is about to act on still holds. It fails closed: where there is no
// answer, there is no leave to act. It needs the standard library only.
package client
