using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Client;

/// <summary>An ioctl, or another request to a context, failed with an errno. The message says which request, which object, why, and what to do.</summary>
public sealed class IommufdException : Exception
{
    internal IommufdException(uint command, Errno errno, IoctlDiagnostic? diagnostic)
        : this(IoctlTable.Find(command)?.Name ?? $"ioctl 0x{command:X}", errno, diagnostic)
    {
    }

    internal IommufdException(string operation, Errno errno, IoctlDiagnostic? diagnostic)
        : base(Describe(operation, errno, diagnostic))
    {
        Operation = operation;
        Errno = errno;
        Diagnostic = diagnostic;
    }

    /// <summary>The command's kernel name, for example <c>IOMMU_DESTROY</c>, or the name of another request.</summary>
    public string Operation { get; }

    /// <summary>The errno.</summary>
    public Errno Errno { get; }

    /// <summary>The reason and its numbers; null if the service gave none.</summary>
    public IoctlDiagnostic? Diagnostic { get; }

    /// <summary>The object that the failure is about; 0 for none.</summary>
    public ObjectId ObjectId => Diagnostic?.ObjectId ?? default;

    /// <summary>The holders of the object; at most the first <see cref="IoctlLimits.MaxListed"/> of them.</summary>
    public IReadOnlyList<Holder> Holders => Diagnostic?.Holders ?? [];

    /// <summary>What to do about the failure; empty if there is no advice.</summary>
    public string Hint => DiagnosticText.Hint(Errno, Diagnostic);

    /// <summary>Throws E2BIG for a request that is too large to be sent: it would end the connection that other requests share.</summary>
    internal static void ThrowIfTooLarge(string operation, long bytes)
    {
        if (bytes > IoctlLimits.MaxRequestBytes)
        {
            throw new IommufdException(
                operation, Errno.E2BIG, new IoctlDiagnostic { Reason = DiagnosticReason.RequestTooLarge, Value = (ulong)bytes, Limit = IoctlLimits.MaxRequestBytes });
        }
    }

    private static string Describe(string operation, Errno errno, IoctlDiagnostic? diagnostic)
    {
        var reason = diagnostic is null ? "" : $": {diagnostic}";
        var hint = DiagnosticText.Hint(errno, diagnostic);
        return hint.Length == 0 ? $"{operation}: {errno}{reason}." : $"{operation}: {errno}{reason} ({hint}).";
    }
}
