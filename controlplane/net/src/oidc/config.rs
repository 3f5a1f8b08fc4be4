//! The part of a configuration that names an OpenID provider.

use std::path::PathBuf;
use std::time::Duration;

use photongate_wire::Nanos;
use url::Url;

use crate::config::{Reported, Section, Value};

/// What the section `oidc` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OidcConfig {
    /// Who issues the tokens: what their claim `iss` says.
    pub issuer: String,
    /// Whom they are for: what their claim `aud` says, or one of what it says.
    pub audience: String,
    /// Where the provider's keys are.
    pub jwks: JwksLocation,
    /// How old the keys may be before they are read anew.
    pub refresh: Duration,
    /// The least time between two attempts to read them.
    pub refresh_pause: Duration,
    /// How far the provider's clock may be off, in whole seconds.
    pub leeway: Duration,
    /// The steps to the claim that lists the roles of a caller.
    pub roles_claim: Vec<String>,
    /// Roles whose holders may change things.
    pub admins: Vec<String>,
    /// Roles whose holders may look.
    pub readers: Vec<String>,
}

/// Where a provider's keys are (RFC 7517).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JwksLocation {
    /// In a file.
    File(PathBuf),
    /// At a URL.
    Url {
        /// An `https` URL.
        url: Url,
        /// PEM file with the authorities that may vouch for it.
        ca: PathBuf,
    },
    /// Where the issuer says (OpenID Connect Discovery 1.0, section 4).
    Issuer {
        /// The issuer's description of itself, an `https` URL.
        description: Url,
        /// PEM file with the authorities that may vouch for the issuer, and for where its keys are.
        ca: PathBuf,
    },
}

impl OidcConfig {
    /// Reads the section.
    ///
    /// # Errors
    /// It has a mistake, which was reported.
    pub fn read(section: &mut Section<'_>) -> Result<Self, Reported> {
        let issuer = section.required_with("issuer", "\"https://login.example/realms/ops\"", filled);
        let audience = section.required_with("audience", "\"photongate\"", filled);
        let jwks = section.optional_with("jwks", jwks);
        let ca = section.optional_with("ca", Value::path);
        let refresh = section
            .or_with("refresh", DEFAULT_REFRESH, |value| value.span(Nanos::from_secs(1), Nanos::from_secs(24 * 3_600)));
        let refresh_pause = section.or_with("refresh_pause", DEFAULT_PAUSE, |value| {
            value.span(Nanos::from_millis(10), Nanos::from_secs(3_600))
        });
        let leeway = section.or_with("leeway", DEFAULT_LEEWAY, |value| value.span(Nanos(0), Nanos::from_secs(300)));
        let roles_claim = section.or_with("roles_claim", steps("realm_access.roles"), roles_claim);
        let admins = section.or_with("admins", Vec::new(), |list| list.items(filled));
        let readers = section.or_with("readers", Vec::new(), |list| list.items(filled));
        let issuer = issuer?;
        let jwks = match (jwks?, ca?) {
            (None, own) => {
                let ca = own.unwrap_or_else(|| PathBuf::from(SYSTEM_AUTHORITIES));
                let description = description(&issuer).ok_or_else(|| {
                    section.refuse("issuer", "is no https URL that could be asked where its keys are: add jwks")
                })?;
                JwksLocation::Issuer { description, ca }
            }
            (Some(JwksLocation::File(_)), Some(_)) => {
                return Err(section.refuse("ca", "nothing is asked over TLS: remove it, or give a URL as jwks"));
            }
            (Some(JwksLocation::Url { url, ca }), own) => JwksLocation::Url { url, ca: own.unwrap_or(ca) },
            (Some(location), _) => location,
        };
        let (admins, readers) = (admins?, readers?);
        if admins.is_empty() && readers.is_empty() {
            return Err(
                section.refuse("admins", "nobody could do anything: add admins or readers, the provider's roles")
            );
        }
        if let Some(both) = readers.iter().find(|reader| admins.contains(reader)) {
            return Err(
                section.refuse("readers", format!("{both:?} is among admins too, who may look anyway: keep one"))
            );
        }
        let (audience, roles_claim) = (audience?, roles_claim?);
        let (refresh, refresh_pause, leeway) = (refresh?, refresh_pause?, leeway?);
        Ok(Self { issuer, audience, jwks, refresh, refresh_pause, leeway, roles_claim, admins, readers })
    }
}

fn filled(value: &Value<'_>) -> Result<String, Reported> {
    let text = value.text()?;
    if text.trim().is_empty() { Err(value.refuse("is empty")) } else { Ok(text.to_owned()) }
}

fn jwks(value: &Value<'_>) -> Result<JwksLocation, Reported> {
    if !value.text()?.contains("://") {
        return value.path().map(JwksLocation::File);
    }
    let url = Url::parse(value.text()?).ok().filter(|url| url.scheme() == "https" && url.host().is_some());
    let url = url.ok_or_else(|| value.refuse("is neither a file nor a URL that begins with https://"))?;
    Ok(JwksLocation::Url { url, ca: PathBuf::from(SYSTEM_AUTHORITIES) })
}

/// Where an issuer describes itself: a well-known path behind its own, whose last slash does not count.
fn description(issuer: &str) -> Option<Url> {
    let url = Url::parse(&format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'))).ok()?;
    let is_plain = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    (url.scheme() == "https" && url.host().is_some() && is_plain).then_some(url)
}

/// A text with dots between the steps, or a list of them, for steps with dots in them.
fn roles_claim(value: &Value<'_>) -> Result<Vec<String>, Reported> {
    let steps = if value.is_list() { value.items(filled)? } else { steps(value.text()?) };
    if steps.is_empty() || steps.iter().any(String::is_empty) {
        return Err(value.refuse("leads to no claim: write it like \"realm_access.roles\""));
    }
    Ok(steps)
}

fn steps(text: &str) -> Vec<String> {
    text.split('.').map(str::to_owned).collect()
}

const DEFAULT_REFRESH: Duration = Duration::from_secs(600);
const DEFAULT_PAUSE: Duration = Duration::from_secs(10);
const DEFAULT_LEEWAY: Duration = Duration::from_secs(30);

/// Where Debian and many others keep the authorities that they believe.
const SYSTEM_AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::read_text;

    #[test]
    fn little_has_to_be_said_about_a_provider() {
        let config = parsed("jwks = \"https://login.example/certs\"\nadmins = [\"run\"]").unwrap();
        let url = "https://login.example/certs".parse().unwrap();
        assert_eq!(config.jwks, JwksLocation::Url { url, ca: SYSTEM_AUTHORITIES.into() });
        assert_eq!(config.roles_claim, ["realm_access", "roles"]);
        assert_eq!((config.leeway, config.refresh), (Duration::from_secs(30), Duration::from_secs(600)));
    }

    #[test]
    fn keys_are_in_a_file_beside_the_configuration_or_at_a_url_that_is_vouched_for() {
        let location = |jwks: &str| parsed(&format!("{jwks}\nreaders = [\"watch\"]")).unwrap().jwks;
        assert_eq!(location("jwks = \"jwks.json\""), JwksLocation::File("/etc/photongate/jwks.json".into()));
        let JwksLocation::Url { ca, .. } = location("jwks = \"https://[::1]:8443/\"\nca = \"ca.pem\"") else {
            panic!()
        };
        assert_eq!(ca, PathBuf::from("/etc/photongate/ca.pem"));
    }

    #[test]
    fn without_keys_the_issuer_is_asked_where_they_are() {
        let JwksLocation::Issuer { description, ca } = parsed("admins = [\"run\"]\nca = \"ca.pem\"").unwrap().jwks
        else {
            panic!()
        };
        assert_eq!(description.as_str(), "https://login.example/.well-known/openid-configuration");
        assert_eq!(ca, PathBuf::from("/etc/photongate/ca.pem"));
        let of_realm = super::description("https://login.example/realms/ops/").unwrap();
        assert_eq!(of_realm.path(), "/realms/ops/.well-known/openid-configuration");
        for other in ["login.example", "http://login.example", "https://login.example/?a", "https://me@login.example"] {
            assert_eq!(super::description(other), None, "{other}");
        }
    }

    #[test]
    fn steps_to_the_roles_may_have_dots_in_them() {
        let steps = |claim: &str| {
            parsed(&format!("jwks = \"f\"\nadmins = [\"run\"]\nroles_claim = {claim}")).map(|config| config.roles_claim)
        };
        assert_eq!(steps("\"groups\"").unwrap(), ["groups"]);
        assert_eq!(
            steps("[\"resource_access\", \"my.client\", \"roles\"]").unwrap(),
            ["resource_access", "my.client", "roles"]
        );
        for claim in ["\"\"", "\"a..b\"", "[]", "[\"\"]", "7"] {
            assert!(steps(claim).is_err(), "{claim}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (rest, problem) in [
            (
                "jwks = \"http://login.example/certs\"\nadmins = [\"run\"]",
                "neither a file nor a URL that begins with https://",
            ),
            ("jwks = \"f\"", "nobody could do anything"),
            ("jwks = \"f\"\nca = \"ca.pem\"\nadmins = [\"run\"]", "nothing is asked over TLS"),
            ("jwks = \"f\"\nadmins = [\"run\"]\nreaders = [\"run\"]", "is among admins too"),
            ("jwks = \"f\"\nadmins = [\" \"]", "is empty"),
            ("jwks = \"f\"\nadmins = [\"run\"]\nleeway = \"10m\"", "is out of bounds: 0ns to 300s"),
        ] {
            let problems = parsed(rest).unwrap_err();
            assert!(problems.contains(problem), "{problems} is not about: {problem}");
        }
    }

    fn parsed(rest: &str) -> Result<OidcConfig, String> {
        let text = format!("issuer = \"https://login.example\"\naudience = \"photongate\"\n{rest}");
        let read = read_text("/etc/photongate/qks.toml".as_ref(), &text, OidcConfig::read);
        let said =
            |problems: crate::config::Problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        read.map(|loaded| loaded.config).map_err(said)
    }
}
