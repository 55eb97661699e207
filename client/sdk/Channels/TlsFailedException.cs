namespace IommuFd.Client;

/// <summary>A gateway's port and this client could not agree on TLS, and that is not about the gateway's certificate.</summary>
internal sealed class TlsFailedException(string message, Exception cause) : IOException(message, cause);
