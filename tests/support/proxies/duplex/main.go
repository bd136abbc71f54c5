// A reverse proxy like Knative's queue-proxy and activator: Go's own, with full duplex over HTTP/1.1
// where an option enables it.
//
// It prints its address, and ends with its standard input, so that it does not outlive the test.
package main

import (
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
)

func main() {
	target := flag.String("target", "", "URL of the server behind the proxy")
	duplex := flag.Bool("full-duplex", false, "read a request's body while its answer is written")
	flag.Parse()
	behind, err := url.Parse(*target)
	if err != nil || behind.Host == "" {
		log.Fatalf("-target must be a URL, not %q", *target)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	fmt.Printf("Listening on http://%s\n", listener.Addr())
	log.Fatal(http.Serve(listener, handler(behind, *duplex)))
}

// handler forwards every request, and what comes of an answer as it comes.
func handler(behind *url.URL, duplex bool) http.Handler {
	proxy := &httputil.ReverseProxy{
		Rewrite:       func(request *httputil.ProxyRequest) { request.SetURL(behind) },
		FlushInterval: -1,
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if duplex {
			if err := http.NewResponseController(w).EnableFullDuplex(); err != nil {
				log.Printf("full duplex: %v", err)
			}
		}
		proxy.ServeHTTP(w, r)
	})
}
