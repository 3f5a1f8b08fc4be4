//! Secrets of a peer in a list: how they are read, compared and handed on.

use std::path::Path;
use std::sync::Arc;

use photongate_crypto::Key;
use photongate_drkey::{AllZeroSecret, KeyTimes, RotationError, Terms};
use photongate_net::config::{FromValue, Place, Reported, Section, Value};
use photongate_pipeline::PeerKey;
use photongate_wire::UnixNanos;

use super::{Context, Held, SecretFiles, Source};
use crate::keys::shared_secret::{Secret, SecretMaterial};

/// Reads the `shared_secrets` of one peer.
pub(super) struct Secrets<'r, 'c> {
    /// The peer, as far as it could be read.
    pub(super) key: Result<PeerKey, Reported>,
    pub(super) context: &'r Context<'c>,
    /// The file that every user can read, until that was said once.
    pub(super) public_file: &'r mut Option<&'c Path>,
}

impl Secrets<'_, '_> {
    /// The secrets, in the order in which they come into use.
    pub(super) fn read(mut self, peer: &mut Section<'_>) -> Result<Arc<[Secret]>, Reported> {
        let mut starts: Vec<(UnixNanos, Place)> = Vec::new();
        let mut secrets = peer.sections("shared_secrets", |section| {
            section.conceal();
            let given = self.given(section);
            let not_before = section.required_with("not_before", UnixNanos::EXAMPLE, |value| {
                let not_before = not_before(value)?;
                if starts.iter().any(|(start, _)| *start == not_before) {
                    return Err(value.refuse("is the not_before of an earlier secret too: which one is meant?"));
                }
                starts.push((not_before, value.place().clone()));
                Ok(not_before)
            });
            let (given, not_before) = (given?, not_before?);
            let material = match given {
                Given::Material(material) => material,
                Given::Held => self.held(section, not_before)?,
            };
            Ok(Secret { material, not_before })
        })?;
        if secrets.is_empty() {
            let example = r#"[{ secret = "(32 hexadecimal digits)", not_before = "2026-01-01T00:00:00Z" }]"#;
            return Err(peer.missing("shared_secrets", example));
        }
        if let Some(times) = self.context.times {
            check_starts(peer, &starts, times)?;
        }
        secrets.sort_by_key(|secret| secret.not_before);
        Ok(secrets.into())
    }

    /// The secret itself, or what is given in its place.
    fn given(&mut self, section: &mut Section<'_>) -> Result<Given, Reported> {
        let secret = section.optional::<Key>("secret");
        let file = section.optional_with("file", |value| self.file(value));
        let held = section.optional_with("held", |value| match value.boolean()? {
            true => Ok(Given::Held),
            false => Err(value.refuse_secret("false says nothing: leave it out")),
        });
        if section.has("secret")
            && let Some(path) = self.public_file.take()
        {
            let message = "every user of this machine can read it: run chmod o-r";
            section.warn("secret", format!("{message} {}, or keep secrets in files of their own", path.display()));
        }
        let (secret, file, held) = (secret?, file?, held?);
        if secret.as_ref().is_some_and(Key::is_zero) {
            return Err(section.refuse_at(section.place(), AllZeroSecret.to_string()));
        }
        match (secret, file, held) {
            (Some(secret), None, None) => Ok(Given::Material(SecretMaterial::Inline(secret))),
            (None, Some(file), None) => Ok(Given::Material(file)),
            (None, None, Some(held)) => Ok(held),
            (None, None, None) => {
                Err(section.refuse("secret", "missing: add secret = \"(32 hexadecimal digits)\" or file = \"…\""))
            }
            (Some(_), Some(_), _) => Err(section.refuse("file", "given beside secret: keep one of them")),
            (Some(_), None, Some(_)) => Err(section.refuse("held", "given beside secret: keep one of them")),
            (None, Some(_), Some(_)) => Err(section.refuse("held", "given beside file: keep one of them")),
        }
    }

    fn file(&self, value: &Value<'_>) -> Result<SecretMaterial, Reported> {
        match self.context.secret_files {
            SecretFiles::Refuse => {
                let message = "files can be named only in a list that is a file of this machine: give the secret, or \
                               held = true for one that the filter has already";
                return Err(value.refuse_secret(message));
            }
            SecretFiles::Check if value.key_file()?.is_zero() => {
                return Err(value.refuse_secret(AllZeroSecret.to_string()));
            }
            SecretFiles::Check | SecretFiles::Trust => {}
        }
        let path = value.key_path()?;
        if path.to_str().is_none() {
            return Err(value.refuse_secret("lies in a folder whose name is no UTF-8: move it"));
        }
        Ok(SecretMaterial::File(path))
    }

    /// The secret that the filter has already.
    fn held(&self, section: &Section<'_>, not_before: UnixNanos) -> Result<SecretMaterial, Reported> {
        let (list, may_be_unknown) = match self.context.held {
            Held::Nothing => (None, false),
            Held::Unknown => (None, true),
            Held::By(list) => (Some(list), false),
            Held::ByOrUnknown(list) => (Some(list), true),
        };
        let key = self.key?;
        let held = list
            .and_then(|list| list.get(key))
            .and_then(|peer| peer.source.secrets().iter().find(|secret| secret.not_before == not_before));
        match held {
            Some(secret) => Ok(copy(&secret.material)),
            None if may_be_unknown => Ok(SecretMaterial::Inline(UNKNOWN)),
            None if list.is_none() => Err(section.refuse("held", "no secret is held here: give secret or file")),
            None => {
                let message = format!("no secret of {key} with this not_before is held: give secret or file");
                Err(section.refuse("held", message))
            }
        }
    }
}

/// What a list gives for a secret.
enum Given {
    Material(SecretMaterial),
    /// `held = true`.
    Held,
}

/// Whether two sources give the same keys.
pub(super) fn same_source(one: &Source, other: &Source) -> bool {
    let (one, other) = match (one, other) {
        (Source::SharedSecret(one), Source::SharedSecret(other)) => (one, other),
        (Source::KeyServer, Source::KeyServer) => return true,
        (Source::SharedSecret(_) | Source::KeyServer, _) => return false,
    };
    let same = |(one, other): (&Secret, &Secret)| {
        one.not_before == other.not_before && same_material(&one.material, &other.material)
    };
    Arc::ptr_eq(one, other) || one.len() == other.len() && one.iter().zip(&**other).all(same)
}

fn same_material(one: &SecretMaterial, other: &SecretMaterial) -> bool {
    match (one, other) {
        (SecretMaterial::Inline(one), SecretMaterial::Inline(other)) => one.matches(other),
        (SecretMaterial::File(one), SecretMaterial::File(other)) => one == other,
        (SecretMaterial::Inline(_) | SecretMaterial::File(_), _) => false,
    }
}

/// Secrets have no `Clone`, so that no copy is made by accident. This one is meant.
fn copy(material: &SecretMaterial) -> SecretMaterial {
    match material {
        SecretMaterial::Inline(key) => SecretMaterial::Inline(Key::from_bytes(*key.as_bytes())),
        SecretMaterial::File(path) => SecretMaterial::File(path.clone()),
    }
}

fn not_before(value: &Value<'_>) -> Result<UnixNanos, Reported> {
    let not_before = UnixNanos::from_value(value)?;
    if not_before >= YEAR_2200 {
        return Err(value.refuse("lies beyond the year 2200: correct the date"));
    }
    Ok(not_before)
}

/// Refuses secrets that follow one another too soon.
fn check_starts(peer: &Section<'_>, starts: &[(UnixNanos, Place)], times: KeyTimes) -> Result<(), Reported> {
    if starts.len() < 2 {
        return Ok(());
    }
    match Terms::new(starts.iter().map(|(start, _)| *start), times) {
        Ok(_) => Ok(()),
        Err(error) => {
            let early = |(start, _): &&(UnixNanos, Place)| matches!(error, RotationError::SecretTooEarly { not_before, .. } if not_before == *start);
            let place = starts.iter().find(early).map_or(peer.place(), |(_, place)| place);
            Err(peer.refuse_at(place, error.to_string()))
        }
    }
}

/// What no secret can be, so that it is never taken for one.
const UNKNOWN: Key = Key::from_bytes([0; Key::LEN]);

/// 2200-01-01T00:00:00Z. A secret for later has a typing error in its date.
const YEAR_2200: UnixNanos = UnixNanos(7_258_118_400_000_000_000);
