using System.Diagnostics;
using System.IO.Compression;
using IommuFd.TestSupport;

namespace IommuFd.ProgramTests;

/// <summary>How a program ended.</summary>
/// <param name="Status">Its exit status.</param>
/// <param name="Output">What it wrote to stdout.</param>
/// <param name="Errors">What it wrote to stderr.</param>
public sealed record Outcome(int Status, string Output, string Errors)
{
    public override string ToString() => $"status {Status}, stdout:\n{Output}\nstderr:\n{Errors}";
}

/// <summary>Runs programs to their end.</summary>
internal static class Programs
{
    /// <summary>A program that <c>make bridge</c> or <c>tests/bridge</c> has built.</summary>
    public static string Built(string name) => Path.GetFullPath(Path.Combine(AppContext.BaseDirectory, "../../../bridge", name));

    /// <summary>A file with the traces of a group.</summary>
    public static string Traces(string group) => Path.Combine(AppContext.BaseDirectory, "traces", $"{group}.jsonl.gz");

    /// <summary>Feeds a program with the traces of a group.</summary>
    public static Func<Stream, Task> FeedTraces(string group) => async input =>
    {
        await using var traces = new GZipStream(File.OpenRead(Traces(group)), CompressionMode.Decompress);
        await traces.CopyToAsync(input);
    };

    /// <summary>Runs a program with the bridge, by the environment alone.</summary>
    public static Task<Outcome> RunBridgedAsync(string socket, string program, Func<Stream, Task>? feed = null)
        => RunAsync([program], new() { ["IOMMUFD_SOCKET"] = socket, ["LD_PRELOAD"] = Built("libiommufd-bridge.so") }, feed);

    /// <summary>Runs a program under the supervisor, by the environment alone.</summary>
    public static Task<Outcome> RunSupervisedAsync(string socket, string[] program, Func<Stream, Task>? feed = null)
        => RunAsync([Built("iommufd-supervise"), "--", .. program], new() { ["IOMMUFD_SOCKET"] = socket }, feed);

    /// <summary>Runs a program with the bridge that was built with sanitizers, whose first finding ends it with a status of its own.</summary>
    public static Task<Outcome> RunSanitizedAsync(string socket, string program) => RunAsync([program], new(Sanitizers)
    {
        ["IOMMUFD_SOCKET"] = socket,
        ["LD_PRELOAD"] = $"{Built("sanitized/libasan.so")} {Built("sanitized/libiommufd-bridge.so")}",
    });

    /// <summary>Runs a program under the supervisor that was built with sanitizers.</summary>
    public static Task<Outcome> RunSanitizedSupervisorAsync(string socket, string program)
        => RunAsync([Built("sanitized/iommufd-supervise"), "--", program], new(Sanitizers) { ["IOMMUFD_SOCKET"] = socket });

    // The programs leave memory to the end of their process, and may handle signals themselves.
    private static Dictionary<string, string> Sanitizers => new()
    {
        ["ASAN_OPTIONS"] = "exitcode=97:detect_leaks=0:allow_user_segv_handler=1:handle_segv=0:handle_sigbus=0",
        ["UBSAN_OPTIONS"] = "exitcode=97:print_stacktrace=1",
    };

    /// <summary>The words of <c>iommufd run</c>.</summary>
    public static string[] Command => ["dotnet", Path.Combine(AppContext.BaseDirectory, "iommufd.dll"), "run"];

    /// <summary>Runs <c>iommufd run</c>.</summary>
    public static Task<Outcome> RunCommandAsync(string? socket, params string[] arguments)
        => RunAsync([.. Command, .. arguments], socket is null ? [] : new() { ["IOMMUFD_SOCKET"] = socket });

    /// <summary>Runs a program.</summary>
    public static async Task<Outcome> RunAsync(string[] command, Dictionary<string, string> environment, Func<Stream, Task>? feed = null)
    {
        // A folder without a silo's socket.
        var start = new ProcessStartInfo(command[0], command[1..]) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = Path.GetTempPath() };
        foreach (var (name, value) in environment)
        {
            start.Environment[name] = value;
        }

        using var limit = new CancellationTokenSource(Eventually.Limit * 5);
        using var process = Process.Start(start)!;
        try
        {
            var (output, errors) = (process.StandardOutput.ReadToEndAsync(limit.Token), process.StandardError.ReadToEndAsync(limit.Token));
            if (feed is not null)
            {
                await feed(process.StandardInput.BaseStream);
            }

            process.StandardInput.Close();
            await process.WaitForExitAsync(limit.Token);
            return new Outcome(process.ExitCode, await output, await errors);
        }
        finally
        {
            if (!process.HasExited)
            {
                process.Kill(entireProcessTree: true);
            }
        }
    }
}
