//! Names of clients' own choosing as part of a key: group ids, users, client ids.
//!
//! Everything but letters, digits and `.`, `_`, `-` is written as `%` and two capital hexadecimal digits for each byte
//! of UTF-8, so that no name contains a `/` and none can be taken for `<default>`.

use std::fmt::Write;

/// The name as it stands in a key.
pub(super) fn escape(name: &str) -> String {
    let mut escaped = String::with_capacity(name.len());
    for byte in name.bytes() {
        if is_plain(byte) {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

/// The name that a part of a key stands for; `None` where [`escape`] would have written it in another way.
pub(super) fn unescape(text: &str) -> Option<String> {
    let mut name = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let decoded = hex_digit(bytes.next()?)? << 4 | hex_digit(bytes.next()?)?;
            if is_plain(decoded) {
                return None;
            }
            name.push(decoded);
        } else if is_plain(byte) {
            name.push(byte);
        } else {
            return None;
        }
    }
    String::from_utf8(name).ok()
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}

fn hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn names_survive_a_round_trip(name in ".*") {
            let escaped = escape(&name);
            prop_assert!(!escaped.contains(['/', '<']));
            prop_assert_eq!(unescape(&escaped), Some(name));
        }

        #[test]
        fn a_name_has_one_spelling(text in "[a%0-9A-F/<é]{0,8}") {
            if let Some(name) = unescape(&text) {
                prop_assert_eq!(escape(&name), text);
            }
        }
    }

    #[test]
    fn spellings() {
        assert_eq!(escape("a/b c.d"), "a%2Fb%20c.d");
        for bad in ["a/b", "%2f", "%41", "%2", "%", "%C3", "<default>", "é"] {
            assert_eq!(unescape(bad), None, "{bad}");
        }
    }
}
