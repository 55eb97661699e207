namespace IommuFd.Silo.Dashboard.Health;

/// <summary>The questions that are asked of a silo's health. Their names are tags of the checks that answer them.</summary>
internal static class Probe
{
    /// <summary>Whether the silo has started.</summary>
    public const string Startup = "startup";

    /// <summary>Whether it serves: it is a member of the cluster, and its journal can be written to.</summary>
    public const string Ready = "ready";

    /// <summary>Whether its turns run; if they don't, it needs to be restarted.</summary>
    public const string Live = "live";

    /// <summary>How long a check may take.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(1);

    private const string Folder = "/health";

    /// <summary>The path where a question is asked.</summary>
    public static string PathOf(string probe) => $"{Folder}/{probe}";

    /// <summary>Whether a path is a question about health.</summary>
    public static bool IsAt(Microsoft.AspNetCore.Http.PathString path) => path.StartsWithSegments(Folder, StringComparison.OrdinalIgnoreCase);
}
