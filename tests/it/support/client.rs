//! A client for servers on this machine.

/// Goes straight to the server, whatever proxies the environment has for others.
pub(crate) fn local() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}
