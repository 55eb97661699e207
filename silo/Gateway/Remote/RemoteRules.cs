using System.ComponentModel.DataAnnotations;
using System.Net;

namespace IommuFd.Silo.Gateway.Remote;

// What an operator must not get without having asked for it: a port that is unencrypted, that asks for nothing, or whose proofs could be guessed; and settings that secure
// nothing because their port is not there.

/// <summary>What settings of the gateway's port must be.</summary>
internal static class RemoteRules
{
    public static IEnumerable<ValidationResult> Problems(GatewaySettings settings)
        => settings.HasPort ? [.. OfPort(settings), .. OfProofs(settings), .. OfFiles(settings)] : WithoutPort(settings);

    private static IEnumerable<ValidationResult> WithoutPort(GatewaySettings settings)
    {
        foreach (var (name, isSet) in ((string, bool)[])
            [
                (nameof(settings.CertificatePath), !string.IsNullOrEmpty(settings.CertificatePath)), (nameof(settings.KeyPath), !string.IsNullOrEmpty(settings.KeyPath)),
                (nameof(settings.Password), !string.IsNullOrEmpty(settings.Password)), (nameof(settings.PasswordPath), !string.IsNullOrEmpty(settings.PasswordPath)),
                (nameof(settings.AllowUnencrypted), settings.AllowUnencrypted), (nameof(settings.Tokens), settings.Tokens.Count > 0),
                (nameof(settings.ClientCaPath), !string.IsNullOrEmpty(settings.ClientCaPath)), (nameof(settings.ClientThumbprints), settings.ClientThumbprints.Count > 0),
            ])
        {
            if (isSet)
            {
                yield return new ValidationResult($"is set, but {GatewaySettings.Section}:{nameof(settings.Listen)} is not: it is for clients by TCP", [name]);
            }
        }
    }

    private static IEnumerable<ValidationResult> OfPort(GatewaySettings settings)
    {
        if (!IPEndPoint.TryParse(settings.Listen!, out var endpoint) || endpoint.Port == 0)
        {
            yield return new ValidationResult($"is '{settings.Listen}'; it must be ADDRESS:PORT, for example 127.0.0.1:7443 (0.0.0.0 is every address of this machine)", [nameof(settings.Listen)]);
            yield break;
        }

        if (!string.IsNullOrEmpty(settings.CertificatePath))
        {
            if (settings.AllowUnencrypted)
            {
                yield return new ValidationResult($"is true, but {nameof(settings.CertificatePath)} encrypts all connections; set only one of them", [nameof(settings.AllowUnencrypted)]);
            }
        }
        else if (!IPAddress.IsLoopback(endpoint.Address))
        {
            yield return new ValidationResult(
                $"is {endpoint}, which others can reach, so {GatewaySettings.Section}:{nameof(settings.CertificatePath)} must be set: tokens and memory's layout would be there for all to read. 127.0.0.1 is for this machine only",
                [nameof(settings.Listen)]);
        }
        else if (!settings.AllowUnencrypted)
        {
            yield return new ValidationResult(
                $"needs a certificate: set {GatewaySettings.Section}:{nameof(settings.CertificatePath)}, or, on loopback, {GatewaySettings.Section}:{nameof(settings.AllowUnencrypted)}=true", [nameof(settings.Listen)]);
        }
    }

    private static IEnumerable<ValidationResult> OfProofs(GatewaySettings settings)
    {
        var asksForCertificates = !string.IsNullOrEmpty(settings.ClientCaPath) || settings.ClientThumbprints.Count > 0;
        if (settings.Tokens.Count == 0 && !asksForCertificates)
        {
            yield return new ValidationResult(
                $"lets nobody in: set {GatewaySettings.Section}:{nameof(settings.Tokens)}:NAME, {nameof(settings.ClientCaPath)} or {nameof(settings.ClientThumbprints)}", [nameof(settings.Listen)]);
        }

        if (asksForCertificates && string.IsNullOrEmpty(settings.CertificatePath))
        {
            yield return new ValidationResult($"asks for clients' certificates, which need TLS: set {GatewaySettings.Section}:{nameof(settings.CertificatePath)}", [nameof(settings.Listen)]);
        }

        foreach (var thumbprint in settings.ClientThumbprints.Where(thumbprint => ClientCertificates.Parse(thumbprint) is null))
        {
            yield return new ValidationResult($"has '{thumbprint}', which is no SHA-256: 64 hexadecimal digits. To see one: openssl x509 -in FILE -noout -fingerprint -sha256", [nameof(settings.ClientThumbprints)]);
        }

        var problems = settings.Tokens.Select(token => (token.Key, Problem: TokenTable.Problem(token.Key, token.Value))).Where(token => token.Problem is not null).ToList();
        foreach (var (name, problem) in problems)
        {
            yield return new ValidationResult(problem, [$"{nameof(settings.Tokens)}:{name}"]);
        }

        foreach (var names in problems.Count > 0 ? [] : TokenTable.Shared(settings.Tokens))
        {
            yield return new ValidationResult($"{string.Join(" and ", names)} are one token: each name needs its own", [nameof(settings.Tokens)]);
        }
    }

    private static IEnumerable<ValidationResult> OfFiles(GatewaySettings settings)
    {
        if (!string.IsNullOrEmpty(settings.Password) && !string.IsNullOrEmpty(settings.PasswordPath))
        {
            yield return new ValidationResult($"is set, and so is {nameof(settings.Password)}; set only one of them", [nameof(settings.PasswordPath)]);
        }

        foreach (var (name, path) in ((string, string?)[])
            [
                (nameof(settings.CertificatePath), settings.CertificatePath), (nameof(settings.KeyPath), settings.KeyPath), (nameof(settings.PasswordPath), settings.PasswordPath),
                (nameof(settings.ClientCaPath), settings.ClientCaPath),
            ])
        {
            if (!string.IsNullOrEmpty(path) && !File.Exists(path))
            {
                yield return new ValidationResult($"is '{path}', but there is no such file", [name]);
            }
        }
    }
}
