//! Texts that come again and again, hosts and user agents above all, are kept once per thread.

use std::{
    array,
    cell::RefCell,
    fmt::{self, Write},
    net::IpAddr,
    sync::Arc,
};

use opentelemetry::StringValue;

/// A thread keeps so many shelves of so many texts. A newcomer takes the place of the oldest on the
/// shelf that it falls on, so strangers' texts cost no more than this.
const SHELVES: usize = 32;
const ON_EACH: usize = 4;

/// The longest text that is kept, in bytes; what is longer is copied each time.
const LONGEST: usize = 256;

thread_local! {
    static KEPT: RefCell<[Shelf; SHELVES]> = RefCell::new(array::from_fn(|_| Shelf::default()));
}

/// How many addresses a thread keeps, in places by their last byte.
const PLACES: usize = 32;

thread_local! {
    static ADDRESSES: RefCell<[Option<(IpAddr, StringValue)>; PLACES]> =
        RefCell::new(array::from_fn(|_| None));
}

/// The newest first.
type Shelf = [Option<Arc<str>>; ON_EACH];

/// The text as an attribute's value, without a copy if this thread has seen it not long ago.
pub(crate) fn shared(text: &str) -> StringValue {
    if text.is_empty() {
        return "".into();
    }
    if text.len() > LONGEST {
        return text.to_owned().into();
    }
    // A thread that is about to end has no store any more.
    let kept = KEPT.try_with(|kept| {
        let mut kept = kept.try_borrow_mut().ok()?;
        let shelf = &mut kept[shelf(text.as_bytes())];
        if let Some(known) = shelf.iter().flatten().find(|known| ***known == *text) {
            return Some(Arc::clone(known));
        }
        shelf.rotate_right(1);
        Some(Arc::clone(shelf[0].insert(text.into())))
    });
    match kept {
        Ok(Some(kept)) => kept.into(),
        Ok(None) | Err(_) => text.to_owned().into(),
    }
}

/// The same, of an address, which need not be written out again either: that costs more than all
/// the rest.
pub(crate) fn address(address: IpAddr) -> StringValue {
    let place = match address {
        IpAddr::V4(address) => address.octets()[3],
        IpAddr::V6(address) => address.octets()[15] ^ address.octets()[7],
    };
    let known = ADDRESSES.try_with(|known| {
        let mut known = known.try_borrow_mut().ok()?;
        let known = &mut known[usize::from(place) % PLACES];
        match known {
            Some((of, text)) if *of == address => Some(text.clone()),
            _ => Some(known.insert((address, written(address))).1.clone()),
        }
    });
    known.ok().flatten().unwrap_or_else(|| written(address))
}

fn written(address: IpAddr) -> StringValue {
    let mut text = Text { bytes: [0; LONGEST_ADDRESS], length: 0 };
    match write!(text, "{address}").map(|()| std::str::from_utf8(&text.bytes[..text.length])) {
        // Not on a shelf: clients that come and go would push the hosts off it.
        Ok(Ok(text)) => Arc::<str>::from(text).into(),
        Ok(Err(_)) | Err(_) => address.to_string().into(),
    }
}

/// Begin, end and length tell most texts apart, and cost less than a hash of all of it, which would
/// cost more than the copy that is saved.
fn shelf(text: &[u8]) -> usize {
    let part = |bytes: &[u8]| bytes.iter().fold(0_usize, |sum, &byte| sum << 5 ^ usize::from(byte));
    let (begin, end) = (&text[..text.len().min(8)], &text[text.len().saturating_sub(12)..]);
    let mixed = (part(begin) ^ part(end).rotate_left(7) ^ text.len()).wrapping_mul(0x9e37_79b9);
    (mixed >> 16) % SHELVES
}

/// `0000:0000:0000:0000:0000:ffff:255.255.255.255`
const LONGEST_ADDRESS: usize = 45;

/// A text on the stack.
struct Text {
    bytes: [u8; LONGEST_ADDRESS],
    length: usize,
}

impl Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.length + text.len();
        self.bytes.get_mut(self.length..end).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_stays_itself_whatever_came_before() {
        let long = "x".repeat(LONGEST + 1);
        let many: Vec<String> =
            (0..10 * SHELVES * ON_EACH).map(|at| format!("host-{at}.example")).collect();
        for _ in 0..2 {
            for text in many.iter().map(String::as_str).chain(["", "é", long.as_str()]) {
                assert_eq!(shared(text).as_str(), text);
            }
        }
    }

    #[test]
    fn a_text_that_came_before_is_not_copied() {
        let texts = ["shop.example", "192.0.2.1", "/users/{id}", "curl/8.0"];
        let first = texts.map(shared);
        let second = texts.map(shared);
        for (first, second) in first.iter().zip(second) {
            assert_eq!(first.as_str().as_ptr(), second.as_str().as_ptr());
        }
    }

    #[test]
    fn an_address_is_written_as_it_always_is() {
        let texts =
            ["127.0.0.1", "::1", "2001:db8::ff00:42:8329", "::ffff:255.255.255.255", "127.0.1.1"];
        for text in texts.iter().chain(&texts) {
            assert_eq!(address(text.parse().unwrap()).as_str(), *text);
        }
        let longest = IpAddr::from([0xabcd_u16; 8]);
        assert_eq!(address(longest).as_str(), longest.to_string());
    }
}
