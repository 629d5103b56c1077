package access

import (
	"fmt"

	"github.com/xdg-go/scram"
)

// scramClient is the SCRAM side of a sarama connection.
type scramClient struct {
	cfg          Config
	conversation *scram.ClientConversation
}

func (s *scramClient) Begin(user, _, authz string) error {
	password, err := s.cfg.password()
	if err != nil {
		return err
	}
	hash := scram.SHA256
	if s.cfg.SASL == SCRAMSHA512 {
		hash = scram.SHA512
	}
	client, err := hash.NewClient(user, password, authz)
	if err != nil {
		return fmt.Errorf("begin %s as %s: %w", s.cfg.SASL, user, err)
	}
	s.conversation = client.NewConversation()
	return nil
}

func (s *scramClient) Step(challenge string) (string, error) { return s.conversation.Step(challenge) }

func (s *scramClient) Done() bool { return s.conversation.Done() }
