using IommuFd.Cli.Conformance;
using IommuFd.Client;
using IommuFd.Silo.Gateway.Recording;
using Microsoft.Extensions.DependencyInjection;

namespace IommuFd.Cli.Recording;

// What a trace can't tell shows when it is replayed: memory that the program has changed, unmapped or protected since it mapped it, an argument in memory that can only be read.
// So a file is there only if the silo that ran the program has replayed it.

/// <summary>Records what a program does in a silo of this process, in a file that <c>iommufd conformance</c> replays.</summary>
internal sealed class Recorder : IDisposable
{
    private readonly string _path;
    private readonly string _unfinished;
    private readonly FileStream _output;
    private readonly ProgramRecording _recording = new();
    private IServiceProvider? _silo;

    /// <param name="path">The file.</param>
    public Recorder(string path)
    {
        _path = Path.GetFullPath(path);
        _unfinished = Path.Combine(Path.GetDirectoryName(_path)!, $".{Environment.ProcessId}-{Path.GetFileName(_path)}");
        _output = File.Create(_unfinished);
    }

    /// <summary>Has the gateway of a silo tell what its programs do.</summary>
    public void AddTo(ISiloBuilder silo) => silo.Services.AddSingleton(_recording);

    /// <summary>The silo has started.</summary>
    public void Started(IServiceProvider silo) => _silo = silo;

    /// <summary>Writes the file, now that the program has ended.</summary>
    /// <param name="program">The program, as it was named.</param>
    /// <exception cref="CliException">What it did can't be replayed.</exception>
    public async Task WriteAsync(string program)
    {
        var calls = await _recording.EndAsync();
        if (_recording.Gap is { } gap)
        {
            throw Refusal(gap);
        }

        TraceFile.Write(_output, _path.EndsWith(".gz", StringComparison.Ordinal), TraceMaker.Make(Path.GetFileName(program), calls));
        _output.Dispose();
        var client = new IommufdClient(_silo!.GetRequiredService<IGrainFactory>());
        foreach (var sequence in TraceSequence.Read(_unfinished))
        {
            var report = await TraceReplayer.ReplayAsync(client, sequence, null, CancellationToken.None);
            if (report.Mismatches is [var (_, first), ..])
            {
                throw Refusal($"it does not replay. Step {first.Step}, {first.Ioctl}: {first.What}");
            }
        }

        File.Move(_unfinished, _path, overwrite: true);
    }

    public void Dispose()
    {
        _output.Dispose();
        File.Delete(_unfinished);
    }

    private CliException Refusal(string why) => new($"The record is not written to '{_path}': {why}.");
}
