// Package peer lets instances ask each other: who has a partition, from the group's own join metadata, and how a question goes there and is
// recognized. A question goes one hop, never with the caller's token.
package peer
