//! TLS: which certificates are believed, and which one is shown.

use std::{fs, io, sync::Arc};

use http::Uri;
use tokio_rustls::rustls::{
    self, ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier,
    client::WantsClientCert,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use crate::{
    error::BuildError,
    sdk::{
        env::{Env, NotUnicode},
        export::otlp::signal::{Signal, Variables},
    },
    text::without_secrets,
};

const CA_SETTING: &str = "OTLP CA certificate";
const CERTIFICATE_SETTING: &str = "OTLP client certificate";
const KEY_SETTING: &str = "OTLP client key";

/// What code says, in PEM.
#[derive(Clone, Default)]
pub(super) struct Given {
    pub(super) ca: Option<Vec<u8>>,
    pub(super) client: Option<(Vec<u8>, Vec<u8>)>,
}

/// How TLS is spoken, with all certificates loaded.
pub(super) struct Tls {
    pub(super) config: Arc<ClientConfig>,
    pub(super) own_ca: bool,
    pub(super) client_certificate: bool,
}

/// A text in PEM, and where it is from: a setting, and the path it was read from.
struct Pem {
    setting: &'static str,
    path: String,
    text: Vec<u8>,
}

impl Tls {
    /// What an `https` endpoint is spoken to with, on which `alpn` is agreed; `None` for any other,
    /// unless its proxy wants it.
    ///
    /// A certificate has no sensible fallback, so a bad one is an error wherever it is from. One
    /// for an `http` endpoint would be used for nothing: that is an error from code, which has both
    /// in one place, and a warning from the environment, where it may be meant for other signals.
    pub(super) fn resolve(
        given: Given,
        endpoint: &Uri,
        with_proxy: bool,
        alpn: &str,
        signal: Signal,
        env: &mut Env,
    ) -> Result<Option<Self>, BuildError> {
        let variables = signal.variables();
        if endpoint.scheme_str() != Some("https") {
            for (setting, is_given) in
                [(CA_SETTING, given.ca.is_some()), (CERTIFICATE_SETTING, given.client.is_some())]
            {
                if is_given {
                    let url = without_secrets(&endpoint.to_string());
                    let reason = format!("is for an https endpoint, and {url} is none");
                    return Err(BuildError::new(setting, "PEM", reason));
                }
            }
            let Variables { certificate, client_certificate, client_key, .. } = *variables;
            for either in [certificate, client_certificate, client_key] {
                if let Some((variable, path)) = env.first(either) {
                    let shown = if is_pem(&path) { "REDACTED".to_owned() } else { path };
                    env.warn(variable, shown, "is for an https endpoint; it was not used");
                }
            }
            return if with_proxy {
                Self::new(None, None, endpoint, alpn, variables).map(Some)
            } else {
                Ok(None)
            };
        }
        let ca = match given.ca {
            Some(text) => Some(Pem { setting: CA_SETTING, path: "PEM".to_owned(), text }),
            None => Pem::from_env(variables.certificate, env)?,
        };
        let client = match given.client {
            Some((certificate, key)) => Some((
                Pem { setting: CERTIFICATE_SETTING, path: "PEM".to_owned(), text: certificate },
                Pem { setting: KEY_SETTING, path: "REDACTED".to_owned(), text: key },
            )),
            None => client_from_env(variables, env)?,
        };
        Self::new(ca, client, endpoint, alpn, variables).map(Some)
    }

    fn new(
        ca: Option<Pem>,
        client: Option<(Pem, Pem)>,
        endpoint: &Uri,
        alpn: &str,
        variables: &Variables,
    ) -> Result<Self, BuildError> {
        let (own_ca, client_certificate) = (ca.is_some(), client.is_some());
        // Named, since the process' default may be missing, or two libraries' at once.
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(endpoint, variables, error))?;
        let builder = match ca {
            Some(ca) => builder.with_root_certificates(ca.roots()?),
            None => {
                system(builder, provider).map_err(|error| unusable(endpoint, variables, error))?
            }
        };
        let mut config = match client {
            Some((certificate, key)) => with_client(builder, &certificate, &key)?,
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
        Ok(Self { config: Arc::new(config), own_ca, client_certificate })
    }

    /// The same for a proxy, which is no collector: it is shown no certificate.
    pub(super) fn for_proxy(&self) -> Arc<ClientConfig> {
        let mut config = ClientConfig::clone(&self.config);
        config.alpn_protocols = Vec::new();
        config.client_auth_cert_resolver = Arc::new(NoCertificate);
        Arc::new(config)
    }
}

impl Pem {
    /// Reads the file that a variable has the path of.
    fn from_env(variables: [&'static str; 2], env: &Env) -> Result<Option<Self>, BuildError> {
        for variable in variables {
            let path = env.read(variable).map_err(|NotUnicode| {
                BuildError::new(variable, "REDACTED", "must be a path in UTF-8")
            })?;
            let Some(path) = path else {
                continue;
            };
            if is_pem(&path) {
                let reason = "is a PEM; it must be the path of one";
                return Err(BuildError::new(variable, "REDACTED", reason));
            }
            return match read(&path) {
                Ok(text) => Ok(Some(Self { setting: variable, path, text })),
                Err(error) => {
                    let reason = format!("cannot be read: {error}; it must be a file in PEM");
                    Err(BuildError::new(variable, path, reason).caused_by(error))
                }
            };
        }
        Ok(None)
    }

    fn invalid(&self, reason: impl Into<String>) -> BuildError {
        BuildError::new(self.setting, &self.path, reason.into())
    }

    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, BuildError> {
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.text).collect();
        match certificates {
            Ok(certificates) if certificates.is_empty() => {
                Err(self.invalid("has no certificate; it must be PEM, with BEGIN CERTIFICATE"))
            }
            Ok(certificates) => Ok(certificates),
            // What it says would repeat a line, and that may be one of a key.
            Err(_) => {
                Err(self.invalid("is no PEM; each BEGIN and END must have a line of its own"))
            }
        }
    }

    fn roots(&self) -> Result<RootCertStore, BuildError> {
        let mut roots = RootCertStore::empty();
        for certificate in self.certificates()? {
            roots.add(certificate).map_err(|error| {
                self.invalid(format!("has a certificate that is none: {error}")).caused_by(error)
            })?;
        }
        Ok(roots)
    }

    /// What is wrong with it is said without repeating any of it.
    fn key(&self) -> Result<PrivateKeyDer<'static>, BuildError> {
        PrivateKeyDer::from_pem_slice(&self.text).map_err(|_| {
            self.invalid("has no private key; it must be PEM, with BEGIN PRIVATE KEY or the like")
        })
    }
}

/// Whether it is what should be in the file, and may be a key.
fn is_pem(path: &str) -> bool {
    path.contains("-----BEGIN")
}

/// Both of them, or none.
fn client_from_env(variables: &Variables, env: &Env) -> Result<Option<(Pem, Pem)>, BuildError> {
    let Variables { client_certificate, client_key, .. } = *variables;
    match (Pem::from_env(client_certificate, env)?, Pem::from_env(client_key, env)?) {
        (Some(certificate), Some(key)) => Ok(Some((certificate, key))),
        (None, None) => Ok(None),
        (Some(certificate), None) => {
            Err(certificate.invalid(format!("needs its key; set {}", client_key[1])))
        }
        (None, Some(key)) => {
            Err(key.invalid(format!("needs its certificate; set {}", client_certificate[1])))
        }
    }
}

fn with_client(
    builder: ConfigBuilder<ClientConfig, WantsClientCert>,
    certificate: &Pem,
    key: &Pem,
) -> Result<ClientConfig, BuildError> {
    let chain = certificate.certificates()?;
    let parsed = key.key()?;
    builder.with_client_auth_cert(chain, parsed).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => {
            let of = match certificate.path.as_str() {
                "PEM" => "the client certificate".to_owned(),
                path => path.to_owned(),
            };
            key.invalid(format!("is not the key of {of}"))
        }
        error => key.invalid(format!("cannot be used: {error}")),
    })
}

/// Those of the system, checked as the system does it where that is another way.
fn system(
    builder: ConfigBuilder<ClientConfig, WantsVerifier>,
    provider: Arc<CryptoProvider>,
) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, rustls::Error> {
    let verifier = rustls_platform_verifier::Verifier::new(provider)?;
    Ok(builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)))
}

fn unusable(endpoint: &Uri, variables: &Variables, error: rustls::Error) -> BuildError {
    let reason = format!(
        "https needs certificates to believe, and the system's cannot be used: {error}; install \
         them (the package ca-certificates), or give the collector's own, by `with_ca_certificate` \
         or {}",
        variables.certificate[1]
    );
    BuildError::of_url("OTLP endpoint", &endpoint.to_string(), reason).caused_by(error)
}

#[derive(Debug)]
struct NoCertificate;

impl rustls::client::ResolvesClientCert for NoCertificate {
    fn resolve(
        &self,
        _: &[&[u8]],
        _: &[rustls::SignatureScheme],
    ) -> Option<Arc<rustls::sign::CertifiedKey>> {
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}
/// A file, and not what never ends.
fn read(path: &str) -> io::Result<Vec<u8>> {
    let file = fs::metadata(path)?;
    if !file.is_file() || file.len() > MOST {
        return Err(io::Error::other("it is no file of a PEM's size"));
    }
    fs::read(path)
}

/// More than any bundle of certificates takes.
const MOST: u64 = 16 * 1024 * 1024;
