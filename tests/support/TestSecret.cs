using IommuFd.GrainInterfaces.Security;

namespace IommuFd.TestSupport;

/// <summary>The secret of the silos and clients that tests start: beside the tests, and not in the home of the user who runs them.</summary>
public static class TestSecret
{
    /// <summary>Names the file to child processes.</summary>
    public const string Variable = SecretFile.PathVariable;

    /// <summary>The file; the first silo makes it.</summary>
    public static string Path { get; } = System.IO.Path.Combine(AppContext.BaseDirectory, "state", "secret");
}
