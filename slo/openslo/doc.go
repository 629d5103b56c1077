// Package openslo turns OpenSLO v1 documents into a contract. It is pure.
//
// A document that is not valid OpenSLO is refused, with line and column. One that is valid may say what a contract cannot: an OpenSLO
// indicator is any query of any system, while an objective of a contract always counts the uses of context that were fresh. Whatever
// does not come out in the contract is named, key by key: what nobody has read of a document is listed at the end.
package openslo
