"""Served models: any server that speaks the OpenAI protocol.

options     what a user may set
wire        a prompt to a request's body; an answer's body to completions
embeddings  the same for a text's vector
client      one request to one server, and what became of it
limiter     how many requests may be in flight
prices      what tokens cost
store       completions that were paid for, and what each run has spent
budget      the caps on money and requests
asker       samples of one prompt: found, asked for, asked for again
engine      the Engine
"""
