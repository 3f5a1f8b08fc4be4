//! Callers who show a token of an OpenID provider: a JSON Web Token (RFC 7519) that the provider has signed.
//!
//! Tokens are verified here, against the provider's public keys (RFC 7517). It is asked for those keys now and then, and never about
//! a token or a caller.

mod claims;
mod config;
mod jwks;
mod key_set;

use std::sync::Arc;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Validation, decode, decode_header};

pub use config::{JwksLocation, OidcConfig};
pub use jwks::OidcError;

use claims::Claims;
use jwks::Jwks;

use crate::http::Role;

/// Verifies the tokens of one provider.
#[derive(Debug)]
pub(crate) struct Oidc {
    config: OidcConfig,
    keys: Arc<Jwks>,
}

/// Somebody whose token is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    /// What the provider calls them, like `oidc alice (3f1c…)`.
    pub(crate) name: String,
    /// What their roles at the provider come to here, if to anything.
    pub(crate) role: Option<Role>,
}

/// Why a token is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadToken {
    #[error("the token is neither one of this program's, nor one that an OpenID provider has signed with a public key")]
    Unreadable,
    #[error("the token says that it takes {0:?} to understand it, which is not understood here")]
    Critical(String),
    #[error("the token does not say which key it is signed with")]
    NoKeyId,
    #[error("the token is signed with a key that is none of the provider's: get a new one")]
    UnknownKey,
    #[error("the token is signed with an algorithm that its key is not for")]
    Algorithm,
    #[error("the signature of the token is wrong")]
    Signature,
    #[error("the time of the token is over: get a new one")]
    Expired,
    #[error("the token is not good yet: are the clocks right?")]
    NotYet,
    #[error("the token is of another issuer")]
    Issuer,
    #[error("the token is for another audience")]
    Audience,
    #[error("the token has no claim `{0}`, or one of another form")]
    Claim(String),
    /// The token may be good.
    #[error("the provider's keys are not known yet: it has not answered")]
    NoKeys,
}

impl Oidc {
    /// Gets ready to verify. Keys in a file are read; those at a URL are asked for in the background.
    ///
    /// # Errors
    /// The file has no keys, or the authorities that vouch for the URL cannot be used.
    pub(crate) fn open(config: &OidcConfig) -> Result<Self, OidcError> {
        let keys = Jwks::open(config)?;
        Ok(Self { config: config.clone(), keys })
    }

    /// Who the token speaks for.
    ///
    /// # Errors
    /// [`BadToken`].
    pub(crate) async fn verify(&self, token: &str) -> Result<Holder, BadToken> {
        let header = decode_header(token).map_err(|_| BadToken::Unreadable)?;
        if let Some(critical) = header.crit.and_then(|names| names.into_iter().next()) {
            return Err(BadToken::Critical(critical));
        }
        let id = header.kid.ok_or(BadToken::NoKeyId)?;
        let held = self.keys.with(&id).await.ok_or(BadToken::NoKeys)?;
        let key = held.set.find(&id).ok_or(BadToken::UnknownKey)?;
        if !key.algorithms.contains(&header.alg) {
            return Err(BadToken::Algorithm);
        }
        let claims = decode::<Claims>(token, &key.key, &self.validation(header.alg));
        let claims = claims.map_err(|error| bad_token(error.into_kind()))?.claims;
        claims.judge(&self.config)
    }

    fn validation(&self, algorithm: jsonwebtoken::Algorithm) -> Validation {
        let mut validation = Validation::new(algorithm);
        validation.leeway = self.config.leeway.as_secs();
        validation.validate_nbf = true;
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        validation.set_issuer(&[&self.config.issuer]);
        validation.set_audience(&[&self.config.audience]);
        validation
    }
}

fn bad_token(error: ErrorKind) -> BadToken {
    match error {
        ErrorKind::ExpiredSignature => BadToken::Expired,
        ErrorKind::ImmatureSignature => BadToken::NotYet,
        ErrorKind::InvalidIssuer => BadToken::Issuer,
        ErrorKind::InvalidAudience => BadToken::Audience,
        ErrorKind::MissingRequiredClaim(claim) | ErrorKind::InvalidClaimFormat(claim) => BadToken::Claim(claim),
        ErrorKind::InvalidAlgorithm | ErrorKind::InvalidKeyFormat => BadToken::Algorithm,
        // What the parser says may quote the token.
        ErrorKind::Json(_) => BadToken::Claim("iss` or `sub".to_owned()),
        ErrorKind::InvalidSignature => BadToken::Signature,
        _ => BadToken::Unreadable,
    }
}
