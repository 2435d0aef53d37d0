//! Paragraphs of dpkg's files: fields, a line each.

use std::collections::BTreeMap;

#[derive(Debug, Default)]
pub struct Control(BTreeMap<String, String>);

impl Control {
    /// Paragraphs are separated by empty lines; what continues a field is left out.
    pub fn all(text: &str) -> Vec<Self> {
        let mut all = vec![Self::default()];
        for line in text.lines() {
            if line.trim().is_empty() {
                all.push(Self::default());
            } else if let (false, Some((name, value)), Some(last)) =
                (line.starts_with(' '), line.split_once(':'), all.last_mut())
            {
                last.0.insert(name.to_owned(), value.trim().to_owned());
            }
        }
        all.retain(|control| !control.0.is_empty());
        all
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Neither removed nor half installed.
    pub fn is_installed(&self) -> bool {
        self.get("Status") == Some("install ok installed")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_are_read_with_their_first_lines() {
        let text = "Package: a\nStatus: install ok installed\nDescription: one\n two: three\n\n\nPackage: b\nStatus: deinstall ok config-files\n";
        let all = Control::all(text);
        assert_eq!(all.len(), 2);
        assert_eq!(
            (all[0].get("Description"), all[0].get(" two")),
            (Some("one"), None)
        );
        assert!(all[0].is_installed() && !all[1].is_installed());
        assert!(Control::all("").is_empty());
    }
}
