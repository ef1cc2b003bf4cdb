//! The server's side of TLS.

use std::sync::Arc;

use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        RootCertStore, ServerConfig,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, PrivatePkcs8KeyDer},
        server::WebPkiClientVerifier,
    },
};

/// Whom a server speaks to over TLS.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Clients {
    Anybody,
    /// Those that have a certificate of its own, which none of ours has. With TLS 1.3 they hear of
    /// it after they have sent their request.
    Known,
}

/// Speaks what is agreed on of these, as `localhost` and 127.0.0.1; and what clients have to
/// trust.
pub(crate) fn acceptor(alpn: &[&str]) -> (TlsAcceptor, CertificateDer<'static>) {
    acceptor_as(&["localhost", "127.0.0.1"], Clients::Anybody, alpn)
}

/// The same under these names, for these clients.
pub(crate) fn acceptor_as(
    names: &[&str],
    clients: Clients,
    alpn: &[&str],
) -> (TlsAcceptor, CertificateDer<'static>) {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let root = made.cert.der().clone();
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    // There is no process-wide provider, which could be another test's.
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap();
    let config = match clients {
        Clients::Anybody => config.with_no_client_auth(),
        Clients::Known => {
            let mut roots = RootCertStore::empty();
            roots.add(root.clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
            config.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let mut config = config.with_single_cert(vec![root.clone()], key.into()).unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    (Arc::new(config).into(), root)
}
