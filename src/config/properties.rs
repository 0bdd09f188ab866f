//! Java's properties format, as `java.util.Properties` reads it: the format of `server.properties` and
//! `meta.properties`.

use std::str::Chars;

/// One `key=value` of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Property {
    pub(crate) key: String,
    pub(crate) value: String,
    /// The line it begins at, from 1.
    pub(crate) line: usize,
}

/// A line that is no property.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BadLine {
    pub(crate) line: usize,
    pub(crate) reason: &'static str,
}

/// Every property of the text in its order, and every line that can not be read.
pub(crate) fn parse(text: &str) -> (Vec<Property>, Vec<BadLine>) {
    let mut properties = Vec::new();
    let mut bad_lines = Vec::new();
    for (line, logical) in LogicalLines::of(text) {
        match parse_line(&logical) {
            Ok((key, value)) => properties.push(Property { key, value, line }),
            Err(reason) => bad_lines.push(BadLine { line, reason }),
        }
    }
    (properties, bad_lines)
}

/// The lines of a text with continuations joined, without blank lines and comments.
struct LogicalLines<'a> {
    natural: Vec<&'a str>,
    next: usize,
}

impl<'a> LogicalLines<'a> {
    fn of(text: &'a str) -> Self {
        let natural = text.split('\n').flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r')).collect();
        Self { natural, next: 0 }
    }
}

impl Iterator for LogicalLines<'_> {
    type Item = (usize, String);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let first = trim_start(self.natural.get(self.next)?);
            self.next += 1;
            let number = self.next;
            if first.is_empty() || first.starts_with(['#', '!']) {
                continue;
            }
            let mut logical = first.to_owned();
            // A comment sign on a continuation line is data.
            while continues(&logical) {
                logical.pop();
                let Some(more) = self.natural.get(self.next) else { break };
                self.next += 1;
                logical.push_str(trim_start(more));
            }
            return Some((number, logical));
        }
    }
}

/// An odd number of backslashes at the end: the last one is not itself escaped.
fn continues(line: &str) -> bool {
    line.bytes().rev().take_while(|&byte| byte == b'\\').count() % 2 == 1
}

fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\x0c')
}

fn trim_start(line: &str) -> &str {
    line.trim_start_matches(is_blank)
}

fn parse_line(line: &str) -> Result<(String, String), &'static str> {
    let (key, rest) = split_key(line);
    let rest = trim_start(rest);
    let value = rest.strip_prefix(['=', ':']).map_or(rest, trim_start);
    Ok((unescape(key)?, unescape(value)?))
}

/// The key ends at the first `=`, `:` or blank that no backslash precedes.
fn split_key(line: &str) -> (&str, &str) {
    let mut escaped = false;
    for (at, character) in line.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '=' | ':' => return line.split_at(at),
            blank if is_blank(blank) => return line.split_at(at),
            _ => {}
        }
    }
    (line, "")
}

fn unescape(text: &str) -> Result<String, &'static str> {
    if !text.contains('\\') {
        return Ok(text.to_owned());
    }
    // Java's characters are UTF-16 units: a character beyond the first plane is written as two escapes.
    let mut units = Vec::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        let unescaped = if character == '\\' {
            match characters.next() {
                Some('u') => {
                    units.push(hex_unit(&mut characters)?);
                    continue;
                }
                Some('t') => '\t',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('f') => '\x0c',
                Some(other) => other,
                None => break,
            }
        } else {
            character
        };
        units.extend_from_slice(unescaped.encode_utf16(&mut [0; 2]));
    }
    String::from_utf16(&units).map_err(|_| "half of a surrogate pair in a \\uXXXX escape")
}

fn hex_unit(characters: &mut Chars<'_>) -> Result<u16, &'static str> {
    let mut unit = 0_u16;
    for _ in 0..4 {
        let digit = characters.next().and_then(|character| character.to_digit(16));
        unit = (unit << 4) | digit.ok_or("a \\uXXXX escape needs four hexadecimal digits")? as u16;
    }
    Ok(unit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The properties of `text`, written `key=value` and separated by `|`, must be `expected`.
    #[track_caller]
    fn check(text: &str, expected: &str) {
        let (properties, bad_lines) = parse(text);
        assert_eq!(bad_lines, [], "{text:?}");
        let shown: Vec<_> =
            properties.iter().map(|property| format!("{}={}", property.key, property.value)).collect();
        assert_eq!(shown.join("|"), expected, "{text:?}");
    }

    #[test]
    fn separators() {
        check("a=b", "a=b");
        check("a:b", "a=b");
        check("a b", "a=b");
        check("a\tb", "a=b");
        check("  a  =  b  ", "a=b  ");
        check("a==b", "a==b");
        check("a= :b", "a=:b");
        check("a : = b", "a== b");
        check("a", "a=");
        check("a=", "a=");
        check("=b", "=b");
        check("a\\=b=c", "a=b=c");
        check("a\\:b\\ c d", "a:b c=d");
    }

    #[test]
    fn lines_and_comments() {
        check("", "");
        check("\n \t\n# x=1\n  ! y=2\na=1\r\nb=2\rc=3", "a=1|b=2|c=3");
        check("# a comment does not continue \\\na=1", "a=1");
        check("a=1,\\\n   2,\\\r\n   3\nb=4", "a=1,2,3|b=4");
        check("a=1\\\n# not a comment", "a=1# not a comment");
        check("a=1\\\\\nb=2", "a=1\\|b=2");
        check("a=1\\\\\\\nb=2", "a=1\\b=2");
        check("a=1\\", "a=1");
        check("a=1\na=2", "a=1|a=2");
    }

    #[test]
    fn escapes() {
        check("a=\\t\\n\\r\\f\\x\\\\", "a=\t\n\r\x0cx\\");
        check("a=\\u00e9\\u20AC", "a=é€");
        check("a=\\uD83D\\uDE00", "a=😀");
        check("\\u0061=1", "a=1");
        check("a=grün", "a=grün");
    }

    #[test]
    fn bad_escapes_are_named_by_line() {
        let (properties, bad_lines) = parse("a=1\nb=\\u12\nc=\\uD83D\nd=4");
        assert_eq!(properties.len(), 2);
        assert_eq!(bad_lines.iter().map(|bad| bad.line).collect::<Vec<_>>(), [2, 3]);
    }

    #[test]
    fn a_property_is_at_its_first_line() {
        let (properties, _) = parse("\n#\na=1,\\\n2\nb=3");
        assert_eq!(properties.iter().map(|property| property.line).collect::<Vec<_>>(), [3, 5]);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_named(text in r"([ \ta-zé=:#!\\\n\r]|\\u[0-9a-f]{0,4}){0,60}") {
            let lines = text.split(['\n', '\r']).count();
            let (properties, bad_lines) = parse(&text);
            prop_assert!(properties.len() + bad_lines.len() <= lines);
            prop_assert!(properties.iter().all(|property| (1..=lines).contains(&property.line)));
        }
    }
}
