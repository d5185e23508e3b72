"""Frames to segments to connections to exchanges: reads what is on the wire, and knows nothing of probes.

`peel` takes link layers, tunnels and IP off a frame (`link`, `shims`, `tunnels`, `ip`, `fragments`, `icmp`, `neighbours`, `segments`;
the results stand in `packets`). `tcp` follows connections (`states` holds its tables and Zeek's words, `stream` one direction,
`sightings` what several vantage points saw, `resolution` unanswered ARP and ND, `table` the bounds). `exchange` reads what was said:
`http1` (`header`, `body`), `tls`, `http2` with `grpc`, and `decrypt` where keys were given. Pure: bytes and nanoseconds in, values out.
"""
