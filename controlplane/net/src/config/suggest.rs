//! "Did you mean": the known name closest to a misspelt one.

use strsim::damerau_levenshtein;

/// What to write instead of `name`: the known name it resembles, else all of them.
pub(super) fn suggestion(name: &str, known: &[&str]) -> String {
    let closest = known.iter().min_by_key(|candidate| damerau_levenshtein(name, candidate));
    match closest {
        Some(closest) if damerau_levenshtein(name, closest) <= allowed_slips(closest) => {
            format!("did you mean `{closest}`?")
        }
        Some(_) => {
            let mut known = known.to_vec();
            known.sort_unstable();
            format!("the fields here are {}", known.join(", "))
        }
        None => "there are no fields here".to_owned(),
    }
}

/// The words as an enumeration: `a, b or c`.
pub(super) fn alternatives(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [only] => only.clone(),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
    }
}

/// How many letters may be wrong for a name still to be recognised.
fn allowed_slips(name: &str) -> usize {
    (name.len() / 3).max(1)
}
