package gateway

import (
	"context"

	"github.com/IBM/sarama"
)

// rules are the rules that the promises of this package rest on, as far as they can be switched off: the zero value, all hold. Only tests
// of this package set them, to see that what tests a rule fails without it.
type rules struct {
	transaction func(s *session, ctx context.Context, all []taken) (map[int32]int64, error) // in place of a transaction
	consumer    func(*sarama.Config)                                                        // changes how inputs are read

	anonymous  bool // offsets are committed without member and generation
	unfenced   bool // a transaction that moves no offset commits none
	unreaped   bool // transactions that the dead have left open stay open
	highWater  bool // a table ends where its log does
	undrained  bool // a claim is not read while its queue is long
	leaving    bool // goka gets each session's end
	oneShot    bool // a group that has ended is not started again
	unpressed  bool // nothing waits for room
	nameless   bool // offsets are those of whatever topic has the name
	unisolated bool // a refused record ends the session, as any error does
}
