using IommuFd.GrainInterfaces;
using IommuFd.Grains.Monitoring;
using Microsoft.AspNetCore.Components;

namespace IommuFd.Silo.Dashboard.Components;

/// <summary>A page, or a part of one, about one context. The context is found by its tag; its handle goes no further than this.</summary>
public abstract class ContextComponent : LiveComponent
{
    private ContextHandle? _handle;

    /// <summary>The tag, as the address has it.</summary>
    [Parameter]
    public string TagText { get; set; } = "";

    [Inject]
    private IGrainFactory Grains { get; set; } = default!;

    [Inject]
    private IContextFinder Finder { get; set; } = default!;

    /// <summary>The context's tag, where the address has one.</summary>
    protected ContextTag Tag => ContextTag.TryParse(TagText, out var tag) ? tag : default;

    /// <summary>Whether there is no such context, or none any more.</summary>
    protected bool IsGone { get; set; }

    /// <summary>The start of the handle, which is all that is shown of it.</summary>
    protected string ShortHandle => _handle?.ToShortString() ?? "";

    /// <summary>Asks the context, and sets <see cref="IsGone"/> where it answers EBADF.</summary>
    protected abstract Task LoadContextAsync(IContextGrain context, CancellationToken cancellationToken);

    protected sealed override async Task LoadAsync(CancellationToken cancellationToken)
    {
        // A volatile context that is gone never comes back; a durable one is found wherever it is now, by the same handle.
        _handle ??= ContextTag.TryParse(TagText, out var tag) ? await Finder.FindAsync(tag, cancellationToken) : null;
        IsGone = _handle is null;
        if (_handle is { } handle)
        {
            await LoadContextAsync(Grains.GetGrain<IContextGrain>(handle.Value), cancellationToken);
        }
    }
}
