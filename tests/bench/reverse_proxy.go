// A gateway as Go's own library makes it: TLS and HTTP/2 to clients, httputil.ReverseProxy to the origin.
//
// usage: reverse_proxy LISTEN CERTIFICATE ORIGIN [LOG]
package main

import (
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
)

func main() {
	listen, pem, origin := os.Args[1], os.Args[2], os.Args[3]
	transport := &http.Transport{MaxIdleConns: 1024, MaxIdleConnsPerHost: 1024, DisableCompression: true}
	proxy := &httputil.ReverseProxy{Transport: transport, Director: func(request *http.Request) {
		request.URL.Scheme, request.URL.Host = "http", origin
		request.Header.Set("X-Forwarded-Proto", "https") // -For is the library's
	}}
	var handler http.Handler = proxy
	if len(os.Args) > 4 {
		file, err := os.OpenFile(os.Args[4], os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
		if err != nil {
			log.Fatal(err)
		}
		access := log.New(file, "", log.LstdFlags)
		handler = http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
			proxy.ServeHTTP(answer, request)
			client, _, _ := net.SplitHostPort(request.RemoteAddr)
			access.Printf("%s %s %s %s", client, request.Method, request.Host, request.URL.Path)
		})
	}
	log.Fatal((&http.Server{Addr: listen, Handler: handler}).ListenAndServeTLS(pem, pem))
}
