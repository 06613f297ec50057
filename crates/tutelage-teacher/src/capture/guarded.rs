//! Parquet's reader has assertions about what damaged files say of themselves: what they would end comes back as a message.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Carries out `read`, of a library: an assertion of its that fails is an error, of which nothing else is told.
pub(super) fn guarded<T, E: From<String>>(read: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let others = take_hook();
        set_hook(Box::new(move |info| {
            if !GUARDED.get() {
                others(info);
            }
        }));
    });
    let before = GUARDED.replace(true);
    // What `read` borrowed mutably is given up by every caller after an error.
    let result = catch_unwind(AssertUnwindSafe(read));
    GUARDED.set(before);
    result.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        Err(E::from(format!("it contradicts itself ({})", text.unwrap_or("an assertion of the reader's fails"))))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assertions_are_errors() {
        let found: Result<(), String> = guarded(|| panic!("{} is negative", -3));
        assert_eq!(found.unwrap_err(), "it contradicts itself (-3 is negative)");
        assert_eq!(guarded(|| Ok::<i32, String>(5)), Ok(5));
        assert!(std::thread::spawn(|| assert_eq!(1, 2)).join().is_err());
    }
}
