//! Where a secret of the configuration is: never in the configuration itself.

use std::env;
use std::fmt;
use std::path::{Path, PathBuf};

use photongate_net::config::{FromValue, Reported, Section, Value};
use photongate_net::secret_file::{self, SecretFileError};
use zeroize::Zeroizing;

use super::{SecretsError, Vault};

/// Where a secret is. In a configuration: `{ file = "token" }`, `{ env = "TOKEN" }`, `{ credential = "token" }` (systemd), or
/// `{ vault = "folder/name#field" }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretRef {
    /// In a file that only its owner can use.
    File(PathBuf),
    /// In a variable of the environment.
    Environment(String),
    /// In a credential that systemd hands to this service.
    Credential(String),
    /// In the Vault's key-value store, version 2.
    Vault {
        /// The path of the secret, behind the mount.
        path: String,
        /// The field in it.
        field: String,
    },
}

impl SecretRef {
    /// Fetches the secret, without the line end that a file may have behind it. `vault` is the one that the configuration has, if any.
    ///
    /// # Errors
    /// [`SecretRefError`].
    pub async fn resolve(&self, vault: Option<&Vault>) -> Result<Zeroizing<String>, SecretRefError> {
        let Self::Vault { path, field } = self else { return self.resolve_outside() };
        let vault = vault.ok_or(SecretRefError::NoVault)?;
        match vault.read_field(path, field).await? {
            Some(text) => self.without_line_end(&text),
            None => Err(SecretRefError::NotInVault { path: path.clone(), field: field.clone() }),
        }
    }

    /// As [`resolve`](Self::resolve), for a secret that does not lie in the Vault.
    pub(super) fn resolve_outside(&self) -> Result<Zeroizing<String>, SecretRefError> {
        let text = match self {
            Self::File(path) => secret_file::read(path).map_err(|why| SecretRefError::file(path, why))?,
            Self::Environment(name) => match env::var(name) {
                Ok(text) => Zeroizing::new(text),
                Err(_) => return Err(SecretRefError::NoVariable { name: name.clone() }),
            },
            Self::Credential(name) => {
                let folder = env::var_os("CREDENTIALS_DIRECTORY");
                let folder = folder.ok_or_else(|| SecretRefError::NoCredentials { name: name.clone() })?;
                let path = Path::new(&folder).join(name);
                secret_file::read_credential(&path).map_err(|why| SecretRefError::file(&path, why))?
            }
            Self::Vault { .. } => return Err(SecretRefError::NoVault),
        };
        self.without_line_end(&text)
    }

    fn without_line_end(&self, text: &str) -> Result<Zeroizing<String>, SecretRefError> {
        match text.trim_end_matches(['\r', '\n']) {
            "" => Err(SecretRefError::Empty { secret: self.to_string() }),
            trimmed => Ok(Zeroizing::new(trimmed.to_owned())),
        }
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "the file {}", path.display()),
            Self::Environment(name) => write!(f, "the environment variable {name}"),
            Self::Credential(name) => write!(f, "the credential {name}"),
            Self::Vault { path, field } => write!(f, "{path}#{field} in the Vault"),
        }
    }
}

/// Why a secret cannot be had, and what to do. Shows nothing of it.
#[derive(Debug, thiserror::Error)]
pub enum SecretRefError {
    /// The file gives none.
    #[error("the file {} {why}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: SecretFileError,
    },
    /// The variable is not there, or is no text.
    #[error("there is no environment variable {name} with text in it")]
    NoVariable {
        /// The variable.
        name: String,
    },
    /// The service manager handed out none at all.
    #[error("there are no credentials: add LoadCredential={name}:FILE to the service, and start it by systemd")]
    NoCredentials {
        /// The one that is wanted.
        name: String,
    },
    /// The configuration has no Vault.
    #[error("there is no Vault to ask: add [secrets.vault]")]
    NoVault,
    /// The Vault does not have it.
    #[error("the Vault has no text in the field {field:?} of {path:?}")]
    NotInVault {
        /// The path.
        path: String,
        /// The field.
        field: String,
    },
    /// The Vault does not answer, or refuses.
    #[error(transparent)]
    Vault(#[from] SecretsError),
    /// There is no text in it.
    #[error("{secret} is empty")]
    Empty {
        /// Where it should be.
        secret: String,
    },
}

impl SecretRefError {
    fn file(path: &Path, why: SecretFileError) -> Self {
        Self::File { path: path.to_owned(), why }
    }
}

impl FromValue for SecretRef {
    const EXAMPLE: &'static str = r#"{ file = "secret" }"#;

    fn from_value(value: &Value<'_>) -> Result<Self, Reported> {
        if !value.is_table() {
            return Err(value.refuse_secret(IN_CLEAR));
        }
        value.section(read)
    }
}

fn read(secret: &mut Section<'_>) -> Result<SecretRef, Reported> {
    // The secret itself may have been written into a field.
    secret.conceal();
    let file = secret.optional_with("file", Value::path)?.map(SecretRef::File);
    let environment = secret.optional_with("env", variable)?.map(SecretRef::Environment);
    let credential = secret.optional_with("credential", credential)?.map(SecretRef::Credential);
    let vault = secret.optional_with("vault", in_vault)?;
    let mut given = [file, environment, credential, vault].into_iter().flatten();
    match (given.next(), given.next()) {
        (Some(only), None) => Ok(only),
        _ => Err(secret.refuse_at(&secret.place().clone(), format!("this is to be one reference: {HOW}"))),
    }
}

fn variable(value: &Value<'_>) -> Result<String, Reported> {
    let name = value.text()?;
    if name.is_empty() || name.contains(['=', '\0']) {
        return Err(value.refuse("is no name of an environment variable"));
    }
    Ok(name.to_owned())
}

fn credential(value: &Value<'_>) -> Result<String, Reported> {
    let name = value.text()?;
    if name.is_empty() || name.contains(['/', '\0']) || name.starts_with('.') {
        return Err(
            value.refuse("is no name of a credential: write the one that LoadCredential= has, without a folder")
        );
    }
    Ok(name.to_owned())
}

fn in_vault(value: &Value<'_>) -> Result<SecretRef, Reported> {
    match value.text()?.split_once('#') {
        Some((path, field)) if !path.trim_matches('/').is_empty() && !field.is_empty() => {
            Ok(SecretRef::Vault { path: path.trim_matches('/').to_owned(), field: field.to_owned() })
        }
        _ => Err(value.refuse(
            "names no secret: write its path in the key-value store, # and the field, like \"qks/db#password\"",
        )),
    }
}

const HOW: &str = r#"write { file = "…" }, { env = "…" }, { credential = "…" } or { vault = "path#field" }"#;
const IN_CLEAR: &str = r#"a secret does not belong into a configuration: keep it elsewhere, and write { file = "…" }, { env = "…" }, { credential = "…" } or { vault = "path#field" }"#;

#[cfg(test)]
mod tests;
