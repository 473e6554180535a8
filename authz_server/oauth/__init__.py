"""The protocol edge: every OAuth and OpenID Connect endpoint. The only room that imports Authlib."""
