//! Clients for servers on this machine.

use std::sync::Arc;

use http_body::Body;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use reqwest::{Certificate, ClientBuilder};
use tokio_rustls::rustls::{
    ClientConfig, RootCertStore, crypto::aws_lc_rs, pki_types::CertificateDer,
};

/// Goes straight to the server, whatever proxies the environment has for others.
pub(crate) fn local() -> reqwest::Client {
    builder().build().unwrap()
}

/// The same, to be set up further. It asks for nothing that it would unpack by itself.
pub(crate) fn builder() -> ClientBuilder {
    reqwest::Client::builder().no_proxy().no_gzip()
}

/// The same, over TLS too. It trusts nobody but this one, and speaks what is agreed on, unless it
/// is told `http1_only` or `http2_prior_knowledge`.
pub(crate) fn trusting(root: &CertificateDer<'_>) -> ClientBuilder {
    builder().tls_certs_only([Certificate::from_der(root).unwrap()])
}

/// hyper-util's client, over HTTP/1.1.
pub(crate) fn legacy_http1<B: Body<Data: Send> + Send>() -> Client<HttpConnector, B> {
    Client::builder(TokioExecutor::new()).build_http()
}

/// hyper-util's client, over HTTP/2, as it knows beforehand.
pub(crate) fn legacy_http2<B: Body<Data: Send> + Send>() -> Client<HttpConnector, B> {
    Client::builder(TokioExecutor::new()).http2_only(true).build_http()
}

/// hyper-util's client, over TLS with what is agreed on there. It trusts nobody but this one.
pub(crate) fn legacy_tls<B: Body<Data: Send> + Send>(
    root: &CertificateDer<'static>,
) -> Client<HttpsConnector<HttpConnector>, B> {
    let mut roots = RootCertStore::empty();
    roots.add(root.clone()).unwrap();
    // There is no process-wide provider, which could be another test's.
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(config)
        .https_only()
        .enable_all_versions()
        .build();
    Client::builder(TokioExecutor::new()).build(connector)
}
