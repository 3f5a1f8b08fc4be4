//! What a configuration is written in.

use std::path::Path;

/// TOML, or JSON of the same shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// TOML 1.1.
    Toml,
    /// JSON (RFC 8259), without comments or any other addition.
    Json,
}

impl Format {
    /// By the name of a file: JSON if it ends in `.json`, else TOML.
    pub fn of_file(path: &Path) -> Self {
        let is_json = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
        if is_json { Self::Json } else { Self::Toml }
    }

    /// By the `Content-Type` of an HTTP message, whose parameters do not matter.
    pub fn of_content_type(content_type: &str) -> Option<Self> {
        let kind = content_type.split(';').next().unwrap_or_default().trim();
        [Self::Toml, Self::Json].into_iter().find(|format| kind.eq_ignore_ascii_case(format.content_type()))
    }

    /// The `Content-Type` of an HTTP message that carries it.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Toml => "application/toml",
            Self::Json => "application/json",
        }
    }

    /// What people call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Toml => "TOML",
            Self::Json => "JSON",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_json_if_its_name_says_so() {
        assert_eq!(Format::of_file("a/list.json".as_ref()), Format::Json);
        assert_eq!(Format::of_file("list.JSON".as_ref()), Format::Json);
        for path in ["list.toml", "list", "json", "list.json.bak"] {
            assert_eq!(Format::of_file(path.as_ref()), Format::Toml, "{path}");
        }
    }

    #[test]
    fn a_content_type_is_recognised_with_parameters_and_in_any_case() {
        assert_eq!(Format::of_content_type("application/toml"), Some(Format::Toml));
        assert_eq!(Format::of_content_type("Application/JSON; charset=utf-8"), Some(Format::Json));
        assert_eq!(Format::of_content_type("text/plain"), None);
    }
}
