"""Frames to segments to connections to exchanges: reads what is on the wire, and knows nothing of probes.

`peel` takes link layers, tunnels and IP off a frame (`link`, `shims`, `tunnels`, `ip`, `fragments`, `icmp`, `neighbours`, `segments`;
the results stand in `packets`). `tcp` follows connections (`states` holds its tables and Zeek's words, `stream` one direction,
`sightings` what several vantage points saw, `resolution` unanswered ARP and ND, `table` the bounds). `exchange` reads what was said:
`http1` (`header`, `body`), `tls`, `http2` with `grpc`, and `decrypt` where keys were given. Pure: bytes and nanoseconds in, values out.

The modules, each by its first sentence:

    addresses      addresses as text, and lanes as shared values: the two small caches of the hot path
    alike          frames of known flows, found among all frames of a batch at once
    body           how the body of an HTTP/1 message ends, and where: net/http's transfer.go and its
                   internal/chunked.go
    decrypt        TLS 1.2 and 1.3 application data with the keys of an NSS key log (SSLKEYLOGFILE
    direction      decide who is the client of a connection whose beginning the capture does not show
    errorpage      what the page of an error says of the server that wrote it
    exchange       from a connection snapshot to what was said on it
    fastpath       the fast path: segments of bypassed connections
    fragments      put IP fragments together again (RFC 791 section 3.2, RFC 815, RFC 8200 section 4.5), within bounds
    grpc           gRPC health checks inside HTTP/2: the messages of grpc.health.v1 and the trailers that end a call
    header         header lines of HTTP/1 as Go's net/textproto reads them (`ReadMIMEHeader`)
    heads          headers in front of IP, looked up whole: most frames of a capture begin with the same few
    http1          HTTP/1 over two stream halves, answers taken as Go's net/http client takes them, which the kubelet
                   uses
    http2          HTTP/2 with prior knowledge (RFC 9113), read passively over both halves
    icmp           ICMP (RFC 792) and ICMPv6 (RFC 4443): errors about TCP segments, and the way into Neighbour
                   Discovery
    ip             IPv4 (RFC 791) and IPv6 (RFC 8200) headers, IPv6 extension headers, and the way into fragments
    layers         what the layer decoders share: the names of the layers, the walk through one packet, and how a walk
                   ends
    link           the link layer: where a frame begins (pcap-linktype(7))
    lives          the mutable state of one TCP connection while frames of it come, and the frozen `Connection` made
                   of it
    neighbours     ARP (RFC 826) and Neighbour Discovery (RFC 4861): who asks for whom, and who answers
    numbers        follow the sequence and acknowledgment numbers of a connection
    packets        what peeling a frame can yield: the values between the link layer and the connection tracker
    peek           what the headers of a frame say about where it belongs
    peel           peel a frame: through link layer, tags, tunnels and IP down to a TCP segment, or to what it is
                   instead
    peel_limits    bounds of peeling: what a `Peeler` may remember, and how deep it goes
    phrases        what was said on a connection, phrase by phrase, each with the frame in which it was whole
    phrases_http2  HTTP/2 and gRPC frame by frame, for a ladder diagram: see `phrases`
    resolution     address resolution that nobody answers: dials that never become a SYN
    segments       read a TCP header (RFC 9293 section 3.1) into a `Segment`
    shims          what may stand between the link header and IP: VLAN tags, MPLS labels, PPPoE and PPP, switch tags
    sightings      tell apart copies of one frame, records written twice, and segments sent again
    states         know what a TCP endpoint's segments say about its connection
    stream         put one direction of a TCP connection together: from segments in any order to the bytes that were
                   sent
    table          keep the connections: where they are found, when they are handed out, when they are let go
    tcp            follow TCP connections: segments in, `Connection` and `Unresolved` values out
    tls            what a TLS conversation shows without its keys: hellos, clear alerts, the outsides of encrypted
                   records
    tunnels        tunnels: IP in IP, GRE and what rides on it, VXLAN, Geneve
    x509           the little that is read of a server certificate
"""
