//! RE2's patterns in the language of the `regex` crate.
//!
//! The two agree but for these:
//!
//! | RE2                                   | the crate                       | here                              |
//! |---------------------------------------|---------------------------------|-----------------------------------|
//! | `\Q...\E` quotes                      | unknown                         | every character escaped           |
//! | `[` within a class is itself          | begins a class within           | escaped                           |
//! | `&&`, `--`, `~~` within a class       | operations on sets              | escaped                           |
//! | `{` that begins no repetition: itself | an error                        | escaped                           |
//! | a repetition counts to 1000           | bounded by memory only          | refused beyond                    |
//! | `\07`, `\123` are characters           | unknown                         | written in hexadecimal            |
//! | flags are `i`, `m`, `s` and `U`       | `x`, `u`, `R` as well           | refused                           |
//! | a repetition can't be repeated: `a**` | it can                          | refused                           |

use std::fmt::Write as _;

/// The classes that POSIX names, and `word`.
const CLASSES: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper",
    "word", "xdigit",
];
/// RE2's bound for the counts of a repetition.
const REPETITIONS_MAX: u32 = 1000;

/// The same pattern for the crate, or why RE2 would not take it.
pub(super) fn translate(pattern: &str) -> Result<String, &'static str> {
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut rest = pattern;
    let mut repeated = Repeated::Not;
    while let Some(first) = rest.chars().next() {
        let before = std::mem::replace(&mut repeated, Repeated::Not);
        rest = match first {
            '\\' => escape(rest, &mut out)?,
            '[' => class(rest, &mut out)?,
            '(' => group(rest, &mut out)?,
            '{' if repetition_at(rest)?.is_none() => {
                out.push_str(r"\{");
                &rest[1..]
            }
            '*' | '+' | '?' | '{' => {
                repeated = match before {
                    Repeated::Not => Repeated::Once,
                    Repeated::Once if first == '?' => Repeated::Lazily,
                    _ => return Err("invalid nested repetition operator"),
                };
                let length = repetition_at(rest)?.unwrap_or(1);
                out.push_str(&rest[..length]);
                &rest[length..]
            }
            other => {
                out.push(other);
                &rest[other.len_utf8()..]
            }
        };
    }
    Ok(out)
}

/// Whether what was read last is a repetition, which can't be repeated: only be made lazy.
enum Repeated {
    Not,
    Once,
    Lazily,
}

/// A backslash and what belongs to it.
fn escape<'a>(text: &'a str, out: &mut String) -> Result<&'a str, &'static str> {
    if let Some(quoted) = text.strip_prefix(r"\Q") {
        let (quoted, rest) = quoted.split_once(r"\E").unwrap_or((quoted, ""));
        out.push_str(&regex::escape(quoted));
        return Ok(rest);
    }
    if let Some(length) = octal_digits(&text[1..]) {
        let (digits, rest) = text[1..].split_at(length);
        let code = u32::from_str_radix(digits, 8).map_err(|_| "invalid escape sequence")?;
        write!(out, r"\x{{{code:x}}}").map_err(|_| "invalid escape sequence")?;
        return Ok(rest);
    }
    let escaped = text[1..].chars().next().ok_or("trailing backslash")?;
    out.push('\\');
    out.push(escaped);
    let rest = &text[1 + escaped.len_utf8()..];
    // The braces of \p{..} and \x{..} are no repetition.
    if matches!(escaped, 'p' | 'P' | 'x') && rest.starts_with('{') {
        let end = rest.find('}').ok_or("missing closing }")?;
        out.push_str(&rest[..=end]);
        return Ok(&rest[end + 1..]);
    }
    Ok(rest)
}

/// How many octal digits a character code has: up to three. One digit alone that is not 0 would be a reference back.
fn octal_digits(text: &str) -> Option<usize> {
    let length = text.bytes().take(3).take_while(|digit| (b'0'..=b'7').contains(digit)).count();
    (length > 1 || text.starts_with('0')).then_some(length)
}

/// A class up to its closing bracket.
fn class<'a>(text: &'a str, out: &mut String) -> Result<&'a str, &'static str> {
    out.push('[');
    let mut rest = &text[1..];
    if let Some(negated) = rest.strip_prefix('^') {
        out.push('^');
        rest = negated;
    }
    let mut first = true;
    loop {
        let next = rest.chars().next().ok_or("missing closing ]")?;
        if next == ']' && !first {
            out.push(']');
            return Ok(&rest[1..]);
        }
        first = false;
        if let Some(end) = rest.strip_prefix("[:").and_then(|named| named.find(":]")) {
            let named = end + "[:".len() + ":]".len();
            if !CLASSES.contains(&rest["[:".len()..][..end].trim_start_matches('^')) {
                return Err("invalid character class range");
            }
            out.push_str(&rest[..named]);
            rest = &rest[named..];
            continue;
        }
        rest = class_character(rest, out)?;
        // A range: a hyphen that is not the last of the class.
        if let Some(to) = rest.strip_prefix('-').filter(|to| !to.is_empty() && !to.starts_with(']')) {
            out.push('-');
            rest = class_character(to, out)?;
        }
    }
}

/// One character of a class, or an escape.
fn class_character<'a>(text: &'a str, out: &mut String) -> Result<&'a str, &'static str> {
    let Some(character) = text.chars().next() else { return Err("missing closing ]") };
    if character == '\\' {
        return escape(text, out);
    }
    if matches!(character, '[' | ']' | '&' | '~' | '-' | '^') {
        out.push('\\');
    }
    out.push(character);
    Ok(&text[character.len_utf8()..])
}

/// The length of `{n}`, `{n,}` or `{n,m}`; any other brace is a character.
fn repetition_at(text: &str) -> Result<Option<usize>, &'static str> {
    let Some(inside) = text.strip_prefix('{').and_then(|text| text.split_once('}')).map(|(inside, _)| inside) else {
        return Ok(None);
    };
    let (least, most) = inside.split_once(',').unwrap_or((inside, inside));
    let is_count = |digits: &str| !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    if !is_count(least) || !(most.is_empty() || is_count(most)) {
        return Ok(None);
    }
    for count in [least, most].into_iter().filter(|count| !count.is_empty()) {
        if count.parse::<u32>().map_or(true, |count| count > REPETITIONS_MAX) {
            return Err("invalid repeat count");
        }
    }
    Ok(Some(inside.len() + 2))
}

/// An opening parenthesis, with what makes it no plain group.
fn group<'a>(text: &'a str, out: &mut String) -> Result<&'a str, &'static str> {
    let Some(inside) = text.strip_prefix("(?") else {
        out.push('(');
        return Ok(&text[1..]);
    };
    let end = inside.find(|character: char| !character.is_ascii_alphabetic() && character != '-');
    let flags = &inside[..end.unwrap_or(inside.len())];
    // `(?P<name>` and `(?<name>` are names, not flags.
    if flags != "P" && !flags.chars().all(|flag| matches!(flag, 'i' | 'm' | 's' | 'U' | '-')) {
        return Err("invalid or unsupported Perl syntax");
    }
    out.push_str("(?");
    out.push_str(flags);
    Ok(&inside[flags.len()..])
}
