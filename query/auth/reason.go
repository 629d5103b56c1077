package auth

// Reason is why a client is not known by what it has shown. Names are never changed.
type Reason uint8

const (
	Unknown       Reason = iota // nobody's token or certificate
	NoToken                     // nothing was shown
	Malformed                   // a signed token that cannot be read, or lacks a claim that it must have
	BadAlgorithm                // it is signed in a way that is not taken: none, or with a shared secret
	UnknownKey                  // with a key that the issuer does not have
	BadSignature                // not by the key that it names
	WrongIssuer                 //
	WrongAudience               // it is for others
	Expired                     // token or certificate
	TooEarly                    // it is not good yet
	NoKeys                      // the issuer's keys have never been read
	reasons
)

// String returns the reason's name.
func (r Reason) String() string {
	switch r {
	case NoToken:
		return "no-token"
	case Malformed:
		return "malformed-token"
	case BadAlgorithm:
		return "bad-algorithm"
	case UnknownKey:
		return "unknown-key"
	case BadSignature:
		return "bad-signature"
	case WrongIssuer:
		return "wrong-issuer"
	case WrongAudience:
		return "wrong-audience"
	case Expired:
		return "expired"
	case TooEarly:
		return "too-early"
	case NoKeys:
		return "no-keys"
	default:
		return "unknown-token"
	}
}

// Detail says the reason to the client.
func (r Reason) Detail() string {
	switch r {
	case NoToken:
		return "send Authorization: Bearer and a token, or show a certificate"
	case Malformed:
		return "the token cannot be read, or does not say when it expires"
	case BadAlgorithm:
		return "the token is signed by an algorithm that is not taken"
	case UnknownKey:
		return "the token is signed with a key that its issuer does not have"
	case BadSignature:
		return "the token is not signed by the key that it names"
	case WrongIssuer:
		return "the token is of another issuer"
	case WrongAudience:
		return "the token is for another audience"
	case Expired:
		return "the token or the certificate has expired"
	case TooEarly:
		return "the token is not good yet"
	case NoKeys:
		return "the keys that tokens are signed with could not be read yet"
	default:
		return "the token or the certificate is nobody's"
	}
}
