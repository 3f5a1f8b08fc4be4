//! How a server finds out who sent a request.

use std::net::SocketAddr;
use std::sync::Arc;

use http::{HeaderMap, StatusCode, header};
use nix::unistd::geteuid;
use tokio::net::unix::UCred;

use super::caller::unauthorized;
use super::limits::Source;
use super::{Caller, Identity, Problem, Role, TokenFile};
use crate::oidc::{BadToken, Holder, Oidc};
use crate::tls::{Subject, SubjectPattern};

/// Whom a server knows, besides root and its own user at the Unix socket, who are admins.
#[derive(Debug, Default)]
pub struct Callers {
    tokens: Vec<(Caller, TokenFile)>,
    provider: Option<Arc<Oidc>>,
    subjects: Vec<(SubjectPattern, Role)>,
}

impl Callers {
    /// Whoever sends the token in `file` has this role, and is called `token NAME` in logs.
    #[must_use]
    pub fn with_token(mut self, name: &str, role: Role, file: TokenFile) -> Self {
        let caller = Caller { name: format!("token {name}"), role, from: String::new() };
        self.tokens.push((caller, file));
        self
    }

    /// Whoever sends a token that this provider has signed has the role that it gives them.
    #[must_use]
    pub(crate) fn with_provider(self, provider: Option<Oidc>) -> Self {
        Self { provider: provider.map(Arc::new), ..self }
    }

    /// Whoever shows a certificate with one of these subjects has this role. If several match, the most powerful role
    /// counts.
    #[must_use]
    pub fn with_subjects(mut self, role: Role, subjects: impl IntoIterator<Item = SubjectPattern>) -> Self {
        self.subjects.extend(subjects.into_iter().map(|subject| (subject, role)));
        self
    }

    /// Who sent a request over `connection` with these headers. A token that is sent counts more than what the
    /// connection says.
    ///
    /// # Errors
    /// A problem with status 401 if there are credentials, and they are wrong; 503 if that cannot be told yet.
    pub(super) async fn identify(&self, connection: &Connection, headers: &HeaderMap) -> Result<Identity, Problem> {
        let mut credentials = headers.get_all(header::AUTHORIZATION).iter();
        let Some(first) = credentials.next() else { return Ok(connection.identity.clone()) };
        if credentials.next().is_some() {
            return Err(unauthorized("the request has two headers `Authorization`: send one"));
        }
        let Some((scheme, token)) = first.to_str().ok().and_then(|text| text.split_once(' ')) else {
            return Err(unauthorized("the header `Authorization` holds no token: send `Authorization: Bearer pgt_…`"));
        };
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(unauthorized("only tokens are taken here: send `Authorization: Bearer pgt_…`"));
        }
        let token = token.trim();
        if let Some(provider) = self.provider.as_ref().filter(|_| !token.starts_with(TokenFile::PREFIX)) {
            return of_holder(provider.verify(token).await, connection);
        }
        // Every file is compared, so that the time taken does not tell which one it is.
        let known = self.tokens.iter().filter(|(_, file)| file.matches(token)).map(|(caller, _)| caller);
        match known.max_by_key(|caller| caller.role) {
            Some(caller) => Ok(Identity::Known(Caller { from: connection.from.clone(), ..caller.clone() })),
            None => Err(unauthorized("the token is wrong, or was exchanged: read it anew from its file")),
        }
    }

    /// Who has shown this certificate, whose chain has been verified.
    fn of_certificate(&self, certificate: &[u8], from: &str) -> Identity {
        let Some(subject) = Subject::of(certificate) else {
            return Identity::WithoutRole("a certificate whose names cannot be read".to_owned());
        };
        let matching = self.subjects.iter().filter(|(pattern, _)| subject.is(pattern));
        match matching.max_by_key(|(_, role)| *role) {
            Some((pattern, role)) => {
                Identity::Known(Caller { name: pattern.to_string(), role: *role, from: from.to_owned() })
            }
            None => Identity::WithoutRole(format!("the certificate {subject}")),
        }
    }
}

/// A connection, as far as it tells who is at its other end.
#[derive(Clone, Debug)]
pub(super) struct Connection {
    pub(super) identity: Identity,
    /// What logs say about where requests come from.
    pub(super) from: String,
    /// What limits count them under.
    pub(super) source: Source,
    pub(super) transport: Transport,
}

/// What a connection runs over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Unix,
    /// TCP that does not leave the machine, in clear.
    Plain,
    Tls,
}

impl Connection {
    /// One over the Unix socket, from the process that the kernel names.
    pub(super) fn unix(peer: &UCred, from: String) -> Self {
        let identity = of_user(peer.uid(), geteuid().as_raw(), &from);
        Self { identity, from, source: Source::Unix, transport: Transport::Unix }
    }

    /// One from this machine, over TCP.
    pub(super) fn plain(address: SocketAddr, from: String) -> Self {
        let source = address.ip().into();
        Self { identity: Identity::Anonymous, from, source, transport: Transport::Plain }
    }

    /// One over TLS, whose other end has shown `certificate` (DER), or none.
    pub(super) fn tls(address: SocketAddr, from: String, certificate: Option<&[u8]>, callers: &Callers) -> Self {
        let source = address.ip().into();
        let identity =
            certificate.map_or(Identity::Anonymous, |certificate| callers.of_certificate(certificate, &from));
        Self { identity, from, source, transport: Transport::Tls }
    }
}

/// Who holds a token of an OpenID provider.
fn of_holder(verified: Result<Holder, BadToken>, connection: &Connection) -> Result<Identity, Problem> {
    match verified {
        Ok(Holder { name, role: Some(role) }) => {
            Ok(Identity::Known(Caller { name, role, from: connection.from.clone() }))
        }
        Ok(Holder { name, role: None }) => Ok(Identity::WithoutRole(name)),
        Err(BadToken::NoKeys) => {
            let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "The token cannot be verified");
            Err(problem.with_detail(BadToken::NoKeys.to_string()))
        }
        Err(bad) => Err(unauthorized(&bad.to_string())),
    }
}

/// Who a user of this machine is: root and the server's own user could change everything anyway.
fn of_user(user: u32, own: u32, from: &str) -> Identity {
    let name = format!("user {user}");
    if user == 0 || user == own {
        Identity::Known(Caller { name, role: Role::Admin, from: from.to_owned() })
    } else {
        Identity::WithoutRole(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_and_the_servers_own_user_are_admins_and_other_users_nobody() {
        for user in [0, 1000] {
            let identity = of_user(user, 1000, "unix socket");
            assert!(matches!(identity, Identity::Known(Caller { role: Role::Admin, .. })), "{user}");
        }
        assert!(matches!(of_user(1001, 1000, "unix socket"), Identity::WithoutRole(_)));
        assert!(matches!(of_user(1000, 0, "unix socket"), Identity::WithoutRole(_)));
    }
}
