package peer

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// Headers of a question.
const (
	clientHeader = "Freshet-Client"    // who asks, and what of: base64 of JSON
	timeHeader   = "Freshet-Time"      // milliseconds
	signHeader   = "Freshet-Signature" // of all of it, with the instances' secret
)

// Client is who asks, as the instance knows it that was asked first. It has checked the rest.
type Client struct {
	Name  string   `json:"name"`
	Types []string `json:"types"` // workflow types that it may see; null: all
}

// skew is how far the clocks of two instances may be apart, and how long a signature is worth something.
const skew = 30 * time.Second

// Secret is what instances recognize each other by.
type Secret []byte

// sign makes a request one of an instance.
func (s Secret) sign(r *http.Request, c Client, body []byte, now time.Time) error {
	who, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("encode who asks: %w", err)
	}
	h := r.Header
	h.Set(clientHeader, base64.StdEncoding.EncodeToString(who))
	h.Set(timeHeader, strconv.FormatInt(now.UnixMilli(), 10))
	h.Set(signHeader, hex.EncodeToString(s.mac(r, body)))
	return nil
}

// Verify says who asks, if an instance has signed the request.
func (s Secret) Verify(r *http.Request, body []byte, now time.Time) (Client, error) {
	var c Client
	given, err := hex.DecodeString(r.Header.Get(signHeader))
	if err != nil || subtle.ConstantTimeCompare(given, s.mac(r, body)) != 1 {
		return c, errors.New("the signature is not that of an instance")
	}
	ms, err := strconv.ParseInt(r.Header.Get(timeHeader), 10, 64)
	if err != nil || now.Sub(time.UnixMilli(ms)).Abs() > skew {
		return c, fmt.Errorf("the signature's time is more than %v away", skew)
	}
	who, err := base64.StdEncoding.DecodeString(r.Header.Get(clientHeader))
	if err == nil {
		err = json.Unmarshal(who, &c)
	}
	if err != nil {
		return c, fmt.Errorf("who asks cannot be read: %w", err)
	}
	return c, nil
}

func (s Secret) mac(r *http.Request, body []byte) []byte {
	m := hmac.New(sha256.New, s)
	sum := sha256.Sum256(body)
	for _, part := range []string{r.Method, r.URL.RequestURI(), r.Header.Get(clientHeader), r.Header.Get(timeHeader)} {
		m.Write(strconv.AppendInt(nil, int64(len(part)), 10))
		m.Write([]byte{'\n'})
		m.Write([]byte(part))
	}
	m.Write(sum[:])
	return m.Sum(nil)
}
