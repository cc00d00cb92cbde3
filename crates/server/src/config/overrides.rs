//! Settings from the environment and from flags, laid over those of a file.

use toml::{Table, Value};

/// Settings that override a file's, later ones over earlier ones.
#[derive(Debug, Clone, Default)]
pub struct Overrides(Vec<(String, String)>);

impl Overrides {
    /// What environment variables of the form `MERIDIAN_<SETTING>` say, given all variables.
    ///
    /// Only the names in `known` count, so that other variables with the prefix do no harm.
    pub fn from_environment(
        variables: impl Iterator<Item = (String, String)>,
        known: &[super::FieldDoc],
    ) -> Self {
        let setting = |name: &str| {
            let rest = name.strip_prefix("MERIDIAN_")?.to_ascii_lowercase();
            known.iter().any(|d| d.name == rest).then_some(rest)
        };
        Overrides(variables.filter_map(|(name, v)| Some((setting(&name)?, v))).collect())
    }

    /// Adds `setting=value`, as a flag gives it. False when there is no `=`.
    pub fn add(&mut self, assignment: &str) -> bool {
        let Some((name, value)) = assignment.split_once('=') else { return false };
        self.0.push((name.trim().to_owned(), value.trim().to_owned()));
        true
    }

    /// Lays them over `table`.
    pub fn apply(&self, table: &mut Table) {
        for (name, text) in &self.0 {
            table.insert(name.clone(), value(text));
        }
    }
}

/// A TOML value where the text is one, else the text itself.
fn value(text: &str) -> Value {
    let parsed = toml::from_str::<Table>(&format!("v = {text}")).ok();
    let scalar = parsed.and_then(|mut t| t.remove("v")).filter(|v| !v.is_datetime());
    scalar.unwrap_or_else(|| Value::String(text.to_owned()))
}
