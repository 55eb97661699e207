using IommuFd.GrainInterfaces;
using IommuFd.Grains.Monitoring;
using Microsoft.AspNetCore.Components;

namespace IommuFd.Silo.Dashboard.Components;

/// <summary>A page, or a part of one, about one context. Finds the context by its tag.</summary>
public abstract class ContextComponent : LiveComponent
{
    private ContextControl? _context;

    /// <summary>The tag in the URL.</summary>
    [Parameter]
    public string TagText { get; set; } = "";

    [Inject]
    private IContextFinder Finder { get; set; } = default!;

    /// <summary>The context's tag, if the URL has one.</summary>
    protected ContextTag Tag => ContextTag.TryParse(TagText, out var tag) ? tag : default;

    /// <summary>Whether the context does not exist, or no longer does.</summary>
    protected bool IsGone { get; set; }

    /// <summary>Asks the context, and sets <see cref="IsGone"/> if it answers EBADF.</summary>
    protected abstract Task LoadContextAsync(ContextControl context, CancellationToken cancellationToken);

    protected sealed override async Task LoadAsync(CancellationToken cancellationToken)
    {
        // Found once: a lost volatile context never comes back, and a durable one keeps its tag on any silo.
        _context ??= ContextTag.TryParse(TagText, out var tag) ? await Finder.FindAsync(tag, cancellationToken) : null;
        IsGone = _context is null;
        if (_context is { } context)
        {
            await LoadContextAsync(context, cancellationToken);
        }
    }
}
