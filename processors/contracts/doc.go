// Package contracts knows which contract was in force when. Contracts are records of their own topic: one is in force from the time of
// its record, the same for all instances, and the first one since always.
package contracts
