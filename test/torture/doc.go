// Package torture holds the tests that do to the engine what happens to it in use, and worse: the program as it is built, in processes of
// its own, is killed, frozen, moved, cut off and lied to while events come. The measure is always the same: when everything has settled,
// the last revisions are the golden lines, the revisions of a verdict are 1, 2, 3 … without a hole, and no record id has named two
// contents. What is done is drawn from a seed, which is printed. It runs on the embedded broker and on a real Kafka (package test/kafka).
package torture
