package web

import (
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

// Each file is served with its type and under the policy, and nothing else is.
func TestTheFilesOfThePage(t *testing.T) {
	for name, want := range map[string]string{
		"": "text/html; charset=utf-8", "index.html": "text/html; charset=utf-8", "app.js": "text/javascript; charset=utf-8", "style.css": "text/css; charset=utf-8",
		"web.go": "", "..": "", "../web/app.js": "", "./app.js": "", "app.js/": "",
	} {
		w := httptest.NewRecorder()
		if served := Serve(w, name); served != (want != "") || w.Header().Get("Content-Type") != want || served != (w.Body.Len() > 0) {
			t.Errorf("%q: served %v, %v, %d bytes", name, served, w.Header(), w.Body.Len())
		}
		if want == "" {
			continue
		}
		for header, has := range map[string]string{
			"Content-Security-Policy": "default-src 'none'", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
		} {
			if !strings.Contains(w.Header().Get(header), has) {
				t.Errorf("%q: %s is %q", name, header, w.Header().Get(header))
			}
		}
	}
}

// The policy allows nothing that is not the server's own, and no script or style that stands in the page.
func TestThePolicyIsStrict(t *testing.T) {
	for _, lax := range []string{"*", "unsafe", "http:", "https:", "blob:"} {
		if strings.Contains(policy, lax) {
			t.Errorf("the policy has %s: %s", lax, policy)
		}
	}
	for _, must := range []string{"default-src 'none'", "script-src 'self'", "connect-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'", "require-trusted-types-for 'script'"} {
		if !strings.Contains(policy, must) {
			t.Errorf("the policy lacks %s: %s", must, policy)
		}
	}
}

// The page loads nothing from elsewhere, has no markup that the policy would refuse, and its script makes no markup of text.
func TestThePageIsWholeAndSafe(t *testing.T) {
	read := func(name string) string {
		b, err := files.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	for name, never := range map[string]string{
		"index.html": `(?i)https?://|src="//|href="//|<style|style=|\son\w+=|<script(?:[^>]*)>[^<]`,
		"style.css":  `(?i)url\(|@import`,
		"app.js":     `innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|localStorage|document\.cookie|https?://\w`,
	} {
		if found := regexp.MustCompile(never).FindString(read(name)); found != "" {
			t.Errorf("%s has %q", name, found)
		}
	}
	for _, file := range []string{"app.js", "style.css"} {
		if !strings.Contains(read("index.html"), `"`+file+`"`) {
			t.Errorf("the page does not load %s", file)
		}
	}
}
