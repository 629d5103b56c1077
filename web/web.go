package web

import (
	"embed"
	"net/http"
)

//go:embed index.html app.js style.css
var files embed.FS

// policy lets the page load its own script and style and ask its own server, and nothing else; text never becomes markup.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; " +
	"frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// types are the files that there are, with their content types.
func types() map[string]string {
	return map[string]string{
		"index.html": "text/html; charset=utf-8", "app.js": "text/javascript; charset=utf-8", "style.css": "text/css; charset=utf-8",
	}
}

// Serve serves a file of the page, "" being the page itself; it returns false if there is none of that name.
func Serve(w http.ResponseWriter, name string) bool {
	if name == "" {
		name = "index.html"
	}
	kind, known := types()[name]
	b, err := files.ReadFile(name)
	if !known || err != nil {
		return false
	}
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store") // a page of another version than its server is worth nothing
	_, _ = w.Write(b)
	return true
}
