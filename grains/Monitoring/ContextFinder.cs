using IommuFd.GrainInterfaces;

namespace IommuFd.Grains.Monitoring;

/// <inheritdoc cref="IContextFinder"/>
internal sealed class ContextFinder(SiloMonitors monitors, ContextDirectory directory) : IContextFinder
{
    public async Task<ContextHandle?> FindAsync(ContextTag tag, CancellationToken cancellationToken)
    {
        if (directory.Find(tag) is { } here)
        {
            return here.Handle;
        }

        var answers = await monitors.AskAsync(monitors.Members, async monitor => new Found(await monitor.FindAsync(tag))).WaitAsync(cancellationToken);
        return answers.Select(answer => answer.Answer?.Handle).FirstOrDefault(handle => handle is not null);
    }

    private sealed record Found(ContextHandle? Handle);
}
