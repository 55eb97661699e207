using System.ComponentModel.DataAnnotations;
using System.Net;
using IommuFd.Silo.Security;

namespace IommuFd.Silo.Telemetry;

/// <summary>
/// The program's own telemetry settings: the section <c>Telemetry</c> of the configuration. OpenTelemetry's standard variables set everything
/// else, see <see cref="OtelVariables"/>.
/// </summary>
public sealed class TelemetrySettings : IValidatableObject
{
    public const string Section = "Telemetry";

    /// <summary>Whether Orleans' own metrics are exported too. Orleans measures every message, which slows ioctls noticeably.</summary>
    public bool OrleansMetrics { get; set; }

    /// <summary>The port where Prometheus scrapes <c>/metrics</c>; 0 opens none.</summary>
    [Range(0, 65535)]
    public int PrometheusPort { get; set; }

    /// <summary>The address of that port. Loopback by default; any other address needs a token.</summary>
    [Required]
    public string PrometheusAddress { get; set; } = "127.0.0.1";

    /// <summary>The file with the token that Prometheus must send (<c>Authorization: Bearer</c>); null asks for none.</summary>
    public string? PrometheusTokenPath { get; set; }

    /// <inheritdoc/>
    public IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
    {
        if (PrometheusPort == 0)
        {
            yield break;
        }

        if (ParseAddress() is not { } address)
        {
            yield return new ValidationResult($"is '{PrometheusAddress}'; it must be an IP address", [nameof(PrometheusAddress)]);
        }
        else if (!IPAddress.IsLoopback(address) && PrometheusTokenPath is null)
        {
            yield return new ValidationResult($"must name a file with a token, because others can reach {PrometheusAddress}; 127.0.0.1 needs none", [nameof(PrometheusTokenPath)]);
        }
    }

    internal IPAddress? ParseAddress() => PrometheusAddress == "localhost" ? IPAddress.Loopback : IPAddress.TryParse(PrometheusAddress, out var address) ? address : null;

    /// <summary>The token; null if none is needed.</summary>
    /// <exception cref="ValidationException">The file can't be read, or has no token.</exception>
    internal string? ReadToken()
    {
        if (PrometheusTokenPath is null)
        {
            return null;
        }

        try
        {
            var token = File.ReadAllText(PrometheusTokenPath).Trim();
            return TokenStrength.Problem(token) is { } problem ? throw new ValidationException($"{Section}:{nameof(PrometheusTokenPath)}: the token in '{PrometheusTokenPath}' {problem}.") : token;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new ValidationException($"{Section}:{nameof(PrometheusTokenPath)}: '{PrometheusTokenPath}' can't be read: {exception.Message}", exception);
        }
    }
}
