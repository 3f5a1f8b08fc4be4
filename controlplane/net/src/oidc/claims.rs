//! What a token says about its holder.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{BadToken, Holder, OidcConfig};
use crate::http::Role;
use crate::now;

/// The claims that count here, beside those that the library checks.
#[derive(Deserialize)]
pub(super) struct Claims {
    /// One text: the library would take a list, too.
    iss: String,
    sub: String,
    #[serde(default)]
    iat: Option<f64>,
    #[serde(default)]
    preferred_username: Option<String>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

impl Claims {
    /// Whom the claims, whose signature and times are good, speak for.
    pub(super) fn judge(self, config: &OidcConfig) -> Result<Holder, BadToken> {
        if self.iss != config.issuer {
            return Err(BadToken::Issuer);
        }
        if self.iat.is_some_and(|issued| issued > now().0 as f64 / 1e9 + config.leeway.as_secs_f64()) {
            return Err(BadToken::NotYet);
        }
        // It goes into logs and answers.
        if self.sub.is_empty() || self.sub.len() > LONGEST_NAME || self.sub.chars().any(char::is_control) {
            return Err(BadToken::Claim("sub".to_owned()));
        }
        let role = self.role(config);
        let is_fit = |name: &String| !name.is_empty() && !name.chars().any(char::is_control);
        let name = match self.preferred_username.filter(is_fit) {
            Some(name) => format!("oidc {} ({})", name.chars().take(LONGEST_NAME).collect::<String>(), self.sub),
            None => format!("oidc {}", self.sub),
        };
        Ok(Holder { name, role })
    }

    /// The most powerful role of those that the roles at the provider stand for.
    fn role(&self, config: &OidcConfig) -> Option<Role> {
        let (first, rest) = config.roles_claim.split_first()?;
        let roles = rest.iter().try_fold(self.others.get(first)?, |value, step| value.get(step))?;
        let held: Vec<&str> = match roles {
            Value::Array(roles) => roles.iter().filter_map(Value::as_str).collect(),
            // As in `scope` (RFC 8693, section 4.2).
            Value::String(roles) => roles.split(' ').collect(),
            _ => Vec::new(),
        };
        let has_one_of = |roles: &[String]| roles.iter().any(|role| held.contains(&role.as_str()));
        if has_one_of(&config.admins) { Some(Role::Admin) } else { has_one_of(&config.readers).then_some(Role::Read) }
    }
}

/// In characters; of what identifies somebody (OpenID Connect Core 1.0, section 2), in bytes.
const LONGEST_NAME: usize = 255;
