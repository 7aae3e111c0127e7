//go:build ignore

// The works in net/http: StripPrefix takes the prefix from the path.
package main

import (
	"crypto/sha256"
	"fmt"
	"html"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
)

const prefix = "/cgi-bin/works.cgi"

var names = []string{"one", "two words", "café"}

func index(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/" && r.URL.Path != "" {
		http.NotFound(w, r)
		return
	}
	fmt.Fprint(w, "<h1>index</h1>")
	for _, name := range names {
		fmt.Fprintf(w, `<a href="%s/page/%s">%s</a>`, prefix, url.PathEscape(name), html.EscapeString(name))
	}
}

func page(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintf(w, `<h1>%s</h1><a href="%s/">index</a>`, html.EscapeString(strings.TrimPrefix(r.URL.Path, "/page/")), prefix)
}

func form(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintf(w, "name=%s\ntext=%s\n", r.PostFormValue("name"), r.PostFormValue("text"))
}

func upload(w http.ResponseWriter, r *http.Request) {
	digest := sha256.New()
	length, err := io.Copy(digest, r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	fmt.Fprintf(w, "%d %x\n", length, digest.Sum(nil))
}

func download(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, "download.bin") }

func stream(w http.ResponseWriter, r *http.Request) {
	fmt.Fprint(w, "first\n")
	w.(http.Flusher).Flush()
	os.ReadFile("gate") // a FIFO: opened when the client has seen the first piece
	fmt.Fprint(w, "second\n")
}

func cookies(w http.ResponseWriter, r *http.Request) {
	http.SetCookie(w, &http.Cookie{Name: "first", Value: "1", Path: "/"})
	http.SetCookie(w, &http.Cookie{Name: "second", Value: "2", Path: "/"})
	fmt.Fprint(w, r.Header.Get("Cookie"))
}

func redirectPath(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, prefix+"/page/one", http.StatusFound)
}

func redirectURL(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, r.Header.Get("X-Forwarded-Proto")+"://"+r.Host+prefix+"/page/one", http.StatusFound)
}

func echo(w http.ResponseWriter, r *http.Request) {
	length, err := io.Copy(io.Discard, r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	fmt.Fprintf(w, "token=%s pid=%d body=%d wrong=-1\n", r.URL.Query().Get("token"), os.Getpid(), length)
}

func main() {
	mux := http.NewServeMux()
	mux.HandleFunc("/", index)
	mux.HandleFunc("/page/", page)
	mux.HandleFunc("/form", form)
	mux.HandleFunc("/upload", upload)
	mux.HandleFunc("/download", download)
	mux.HandleFunc("/stream", stream)
	mux.HandleFunc("/cookies", cookies)
	mux.HandleFunc("/redirect/path", redirectPath)
	mux.HandleFunc("/redirect/url", redirectURL)
	mux.HandleFunc("/echo", echo)
	listener, err := net.Listen("unix", os.Getenv("ROUSE_SOCKET"))
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.Serve(listener, http.StripPrefix(prefix, mux)))
}
