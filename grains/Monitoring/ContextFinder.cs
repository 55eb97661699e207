using IommuFd.GrainInterfaces;

namespace IommuFd.Grains.Monitoring;

/// <inheritdoc cref="IContextFinder"/>
internal sealed class ContextFinder(SiloMonitors monitors, ContextDirectory directory, ContextControls controls) : IContextFinder
{
    public async Task<ContextControl?> FindAsync(ContextTag tag, CancellationToken cancellationToken)
    {
        if (directory.Find(tag) is { } here)
        {
            return controls.Of(here.Key);
        }

        var answers = await monitors.AskAsync(monitors.Members, async (monitor, proof) => new Found(await monitor.FindAsync(proof, tag))).WaitAsync(cancellationToken);
        return answers.Select(answer => answer.Answer?.Key).FirstOrDefault(key => key is not null) is { } key ? controls.Of(key) : null;
    }

    private sealed record Found(ContextKey? Key);
}
