package checkid

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
)

// Check is what an id says of the answer that carried it.
type Check struct {
	Workflow string
	At       event.Time // the instant judged
	Verdict  freshness.VerdictKind
}

// Errors of Decode.
var (
	ErrMalformed = errors.New("not the id of a check")
	ErrSignature = errors.New("the check's id is not signed with the configured key")
)

// The first byte of an id is its version. An id is, before base64url: version, verdict, instant as a varint, workflow, signature.
const (
	plainVersion  = 1
	signedVersion = 2
)

// signatureSize is what is kept of the HMAC-SHA256: an id is not to be guessed online, and it travels in every act.
const signatureSize = 16

// encoding is strict, so that a check has one id.
func encoding() *base64.Encoding { return base64.RawURLEncoding.Strict() }

// Encode returns the id of a check, signed unless the key is empty.
func Encode(key []byte, c Check) string { return string(Append(nil, key, c)) }

// Append appends the id of a check.
func Append(to, key []byte, c Check) []byte {
	var scratch [128]byte
	b := scratch[:0]
	version := byte(plainVersion)
	if len(key) > 0 {
		version = signedVersion
	}
	b = append(b, version, byte(c.Verdict))
	b = binary.AppendVarint(b, int64(c.At))
	b = append(b, c.Workflow...)
	if len(key) > 0 {
		b = append(b, sign(key, b)...)
	}
	return encoding().AppendEncode(to, b)
}

// Decode reads an id. With a key only ids that are signed with it are believed; without one every id is, signed or not.
func Decode(key []byte, id string) (Check, error) {
	b, err := encoding().DecodeString(id)
	if err != nil || len(b) < 3 {
		return Check{}, ErrMalformed
	}
	switch b[0] {
	case signedVersion:
		n := len(b) - signatureSize
		if n < 3 {
			return Check{}, ErrMalformed
		}
		if len(key) > 0 && !hmac.Equal(b[n:], sign(key, b[:n])) {
			return Check{}, ErrSignature
		}
		b = b[:n]
	case plainVersion:
		if len(key) > 0 {
			return Check{}, ErrSignature
		}
	default:
		return Check{}, fmt.Errorf("%w: version %d", ErrMalformed, b[0])
	}
	at, n := binary.Varint(b[2:])
	verdict := freshness.VerdictKind(b[1])
	if n <= 0 || verdict > freshness.IsStale {
		return Check{}, ErrMalformed
	}
	return Check{Workflow: string(b[2+n:]), At: event.Time(at), Verdict: verdict}, nil
}

// sign returns the signature of an id's bytes.
func sign(key, b []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(b)
	return h.Sum(nil)[:signatureSize]
}
