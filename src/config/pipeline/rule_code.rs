//! Stable codes of rules, such as `fsct::device::absent`.

use super::rule::{Keys, Rule};

impl Rule {
    /// Its stable code, such as `fsct::device::absent`; `*` stands for one of several keys.
    pub fn code(self) -> String {
        match self.keys() {
            Keys::Text => format!("fsct::{}", self.name()),
            Keys::These([key]) => self.code_at(key),
            Keys::Any | Keys::These(_) => format!("fsct::*::{}", self.name()),
        }
    }

    /// Its code where one key breaks it; an item of a list is named after the list.
    pub fn code_at(self, key: &str) -> String {
        let path = || {
            key.split('.')
                .filter(|part| !part.is_empty() && !part.starts_with(|c: char| c.is_ascii_digit()))
                .map(|part| format!("::{part}"))
                .collect::<String>()
        };
        match (self, self.keys()) {
            (Self::Value, _) if !key.is_empty() => format!("fsct{}", path()),
            (_, Keys::Text) => format!("fsct::{}", self.name()),
            (_, Keys::Any | Keys::These(_)) => format!("fsct{}::{}", path(), self.name()),
        }
    }

    /// The rule that a code names.
    pub fn of_code(code: &str) -> Option<Self> {
        let exact = Self::ALL.iter().find(|rule| rule.code() == code);
        let (path, name) = code.strip_prefix("fsct::")?.rsplit_once("::").unwrap_or(("", code));
        let key = path.replace("::", ".");
        let at = || Self::ALL.iter().find(|rule| rule.name() == name && rule.is_about(&key));
        exact.or_else(at).copied()
    }

    /// Whether it is about the key itself, not about one below it.
    pub fn is_about(self, key: &str) -> bool {
        match self.keys() {
            Keys::Text => false,
            Keys::Any => !key.is_empty(),
            Keys::These(keys) => keys.contains(&key),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_leads_back_to_its_rule() {
        for &rule in Rule::ALL {
            assert_eq!(Rule::of_code(&rule.code()), Some(rule), "{}", rule.code());
            if let Keys::These(keys) = rule.keys() {
                for key in keys {
                    assert_eq!(Rule::of_code(&rule.code_at(key)), Some(rule), "{key}");
                }
            }
        }
        assert_eq!(
            Rule::of_code("fsct::test::data::root::does_not_exist"),
            Some(Rule::DoesNotExist)
        );
        assert_eq!(Rule::of_code("fsct::memory::amp"), None, "a key's own code");
        assert_eq!(Rule::of_code("fsct::memory::amp::unused"), None);
    }

    #[test]
    fn a_wrong_value_is_named_after_its_key() {
        assert_eq!(Rule::Value.code_at("memory.amp"), "fsct::memory::amp");
        assert_eq!(Rule::Value.code_at("data.normalize.mean.2"), "fsct::data::normalize::mean");
        assert_eq!(Rule::Value.code_at(""), "fsct::pipeline");
        assert_eq!(Rule::Syntax.code_at("memory"), "fsct::syntax");
    }

    #[test]
    fn every_rule_has_a_title_and_a_reason() {
        for &rule in Rule::ALL {
            assert!(rule.title().len() > 15 && !rule.title().ends_with('.'), "{rule:?}");
            assert!(rule.text().len() > 40 && rule.text().ends_with('.'), "{rule:?}");
        }
    }
}
